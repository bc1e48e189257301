"""One function per message and timer."""
