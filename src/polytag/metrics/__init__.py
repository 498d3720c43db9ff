"""Scores of multi-label predictions, and what guessing would score."""
