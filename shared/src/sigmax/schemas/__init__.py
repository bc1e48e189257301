"""Messages: all that crosses from one container to another."""
