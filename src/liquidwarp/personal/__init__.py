"""Personalisation: a network that was trained on many people is tuned to one, by that person's own pictures."""
