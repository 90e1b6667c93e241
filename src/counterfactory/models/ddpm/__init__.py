"""The denoising diffusion model of images."""
