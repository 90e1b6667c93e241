"""Parts that every stage uses: errors, atomic files, noise, devices, checkpoints, progress."""
