"""How accurate and how fast hwkd is; each command prints one number and fails below its target."""
