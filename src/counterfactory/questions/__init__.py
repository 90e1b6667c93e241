"""Writes the questions: one table per suite, the same for every method."""
