"""(c) The Liquid Warping GAN."""
