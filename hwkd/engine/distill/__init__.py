"""One student of the user's, distilled."""
