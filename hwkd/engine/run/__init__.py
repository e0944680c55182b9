"""A run and where it is kept."""
