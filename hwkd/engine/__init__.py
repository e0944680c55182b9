"""The search: ask, run, tell, resume."""
