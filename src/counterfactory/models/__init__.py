"""Models: one folder a model (network, training, loading); :mod:`.registry` lists them."""
