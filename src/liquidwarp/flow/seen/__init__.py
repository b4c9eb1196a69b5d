"""What a photo really shows of a body: not the arm before a shirt, the sleeve over a hand, the beard on a neck."""
