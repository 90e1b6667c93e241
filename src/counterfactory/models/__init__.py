"""Models: one folder per model (network, training, loading), listed in :mod:`.registry`."""
