"""What distillation gains over its controls."""
