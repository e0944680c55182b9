"""Torch modules made from a student's description."""
