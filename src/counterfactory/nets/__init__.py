"""Neural-network layers and output distributions that several models share."""
