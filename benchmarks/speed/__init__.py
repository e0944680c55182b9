"""How fast: each prints a ratio within one run."""
