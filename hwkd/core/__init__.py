"""Types and pure functions that every other package stands on."""
