"""What whole searches reach in the time that they are given."""
