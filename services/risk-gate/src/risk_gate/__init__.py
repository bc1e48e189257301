"""Sizes what strategies wish for, holds it against every limit, and signs it or says no."""
