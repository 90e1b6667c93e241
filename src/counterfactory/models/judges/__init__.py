"""Judges and predictors: networks that predict one variable from an image."""
