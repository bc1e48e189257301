"""Bars and ticks to signals: strategies, each inside its own fault boundary."""
