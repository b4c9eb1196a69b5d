"""Rotations, the camera, the rasteriser and backward warping."""
