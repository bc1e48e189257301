"""What the venue does for each request, socket, and timer."""
