"""Discrete diffusion: noise schedules, denoisers, DDPM and DDIM steps, and guidance."""
