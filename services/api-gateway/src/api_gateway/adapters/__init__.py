"""The only code of the gateway that touches the world."""
