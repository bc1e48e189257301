"""Venue feeds and recordings in, clean market data out."""
