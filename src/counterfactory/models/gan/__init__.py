"""Adversarial networks: the conditional encoder-generator `gan` and the unconditional `dcgan`."""
