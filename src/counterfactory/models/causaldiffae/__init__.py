"""CausalDiffAE: a diffusion autoencoder whose codes follow the causal graph."""
