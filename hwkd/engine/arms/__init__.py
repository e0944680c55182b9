"""One student, trained in several ways and judged by its int8 file."""
