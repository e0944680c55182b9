"""What damaged files and killed searches do."""
