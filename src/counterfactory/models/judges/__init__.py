"""Judges and predictors: anticausal predictors of one parent."""
