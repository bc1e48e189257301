"""Bars, indicators, strategies, and the desk that runs them: values in, values out."""
