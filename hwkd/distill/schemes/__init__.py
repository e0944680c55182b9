"""One file for each scheme of distillation, found by being there."""
