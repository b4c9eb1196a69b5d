"""Commands that print the figures."""
