"""One function per message and timer; each loads, decides, and records."""
