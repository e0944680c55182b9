"""Tasks and the readers of users' data."""
