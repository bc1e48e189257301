"""What happens: to each message, at each turn of the market loop, and each second."""
