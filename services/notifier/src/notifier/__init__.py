"""Stores alerts, folds repeats into one, and brings them to people."""
