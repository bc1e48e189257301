"""The only code of this service that touches the world."""
