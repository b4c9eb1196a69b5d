"""The person's soft matte, without what is held or shines through between limbs."""
