"""The training loop and teachers."""
