"""CausalDiffAE: the diffusion autoencoder with causal codes."""
