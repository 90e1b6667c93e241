"""Denoising diffusion model of images, without parents."""
