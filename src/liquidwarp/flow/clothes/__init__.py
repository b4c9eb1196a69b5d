"""What hangs around the body or before it: halos, hair, skirts, coats, shoes."""
