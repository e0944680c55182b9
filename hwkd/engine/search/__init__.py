"""Candidates: proposed, screened, trained briefly, and the best of them in full."""
