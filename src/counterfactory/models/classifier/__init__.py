"""The classifier of binary attributes, and the oracle."""
