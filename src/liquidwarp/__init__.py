"""Liquidwarp: human image synthesis from a few photos (Liquid Warping GAN with Attention)."""
