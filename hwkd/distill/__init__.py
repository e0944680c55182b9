"""Distillation: taps, losses, adapters, teacher sources, schedules."""
