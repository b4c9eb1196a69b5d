"""Training and personalization."""
