"""Distillation losses, one file per method or family."""
