"""Published weights: sources, checks and conversion."""
