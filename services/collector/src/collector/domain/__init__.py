"""Decisions about market data that only the collector makes: what is a price, what is a bar, what is a defect."""
