"""Every command as a function: the same options, checked and documented in one place."""
