"""Answers on disk: chunks of images and tables, resuming, recovery copies."""
