"""One function per route, message, or live connection: load, decide, record."""
