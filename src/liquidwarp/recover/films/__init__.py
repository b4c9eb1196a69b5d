"""Shots and scenes of a film, and what people look like in them."""
