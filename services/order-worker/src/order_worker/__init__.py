"""Approved orders -> venue -> fills, positions, and cash."""
