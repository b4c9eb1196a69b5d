"""Appearance transfer: what each person gives to another one, and in which tone."""
