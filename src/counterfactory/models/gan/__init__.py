"""Adversarial networks: the conditional GAN with an encoder, and the unconditional DCGAN."""
