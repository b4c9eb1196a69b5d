"""The parametric body, its parts, and its motion."""
