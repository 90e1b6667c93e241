"""Image mechanisms: VAE and HVAE, their training and fine-tuning."""
