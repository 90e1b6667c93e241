"""Questions: one table a suite, the same for every method."""
