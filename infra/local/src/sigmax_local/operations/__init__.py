"""What people do to a running platform: back it up, restore it, update one service of it."""
