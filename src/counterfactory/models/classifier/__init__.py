"""The classifier of binary attributes whose decisions are flipped, and the oracle that counts attributes."""
