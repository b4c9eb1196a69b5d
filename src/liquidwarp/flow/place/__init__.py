"""What is behind the person: the completed background, shadows, the ground at the feet."""
