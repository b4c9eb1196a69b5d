"""The tasks of the paper: motion imitation, appearance transfer, novel view."""
