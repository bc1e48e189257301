"""What the handlers need from the world, by subject."""
