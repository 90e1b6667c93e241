"""Image mechanisms p(x | parents): VAE and hierarchical VAE, their training and counterfactual fine-tuning."""
