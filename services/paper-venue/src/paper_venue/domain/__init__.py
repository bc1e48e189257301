"""The dialect, as pure functions: parameters in, answers out."""
