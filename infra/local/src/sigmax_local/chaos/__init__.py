"""What `make chaos` shows: no order is lost or doubled, whatever fails and whenever it does."""
