"""Judges signals by a model or by the local policy, and keeps every call on a tape."""
