"""Targets that a finished student is exported to, one module each."""
