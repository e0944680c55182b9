"""Records into pages, figures and tables."""
