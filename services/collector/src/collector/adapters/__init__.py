"""The only code of the collector that touches the world."""
