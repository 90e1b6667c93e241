"""The image models that the workflow trains, and the module that trains each.

A model is also a section of the configuration, `models.<name>`, and a folder, `models/<name>/seed<k>/`.
"""

__all__ = ["TRAINERS"]

TRAINERS = {
    "vae": "models.image.train",
    "hvae": "models.image.train",
    "ddpm": "models.ddpm.train",
    "causaldiffae": "models.causaldiffae.train",
    "gan": "models.gan.train",
    "dcgan": "models.gan.train",
}
"""The module that trains each model: what it runs decides when the model is trained anew."""
