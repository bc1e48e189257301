"""Measures the stack, always beside a floor taken in the same run on the same machine."""
