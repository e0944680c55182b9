"""The device model: operator graph and device in, estimate out; arithmetic only."""
