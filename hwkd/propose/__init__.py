"""Which candidate is worth training next: a surrogate of what must be measured, exact costs."""
