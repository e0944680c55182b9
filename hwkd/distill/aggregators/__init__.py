"""Pure functions between sources of targets and losses: one target or weights of many members."""
