"""One person among others, followed through a video."""
