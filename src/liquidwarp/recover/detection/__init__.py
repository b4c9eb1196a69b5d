"""What the networks see in one picture: people, landmarks, hands, faces, masks."""
