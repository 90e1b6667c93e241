"""Discrete diffusion: schedules, denoisers, one step of DDPM or DDIM forth or back, guidance."""
