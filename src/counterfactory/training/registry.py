"""The image models that the workflow trains, and the module that trains each.

A model is also a section of the configuration, `models.<name>`, and a folder, `models/<name>/seed<k>/`.
"""

__all__ = ["TRAINERS"]

TRAINERS = {
    "vae": "training.image_mechanism",
    "hvae": "training.image_mechanism",
    "ddpm": "training.denoiser",
    "causaldiffae": "training.diffusion_autoencoder",
    "gan": "training.gan",
    "dcgan": "training.gan",
}
"""The module that trains each model: what it runs decides when the model is trained anew."""
