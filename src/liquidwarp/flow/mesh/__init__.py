"""A person's surface as meshes, body and what is worn around it: projected, rastered, visible or not."""
