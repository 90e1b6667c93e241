"""Imports causal-gen's image mechanisms: the hierarchical VAE and the simple VAE."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...core.errors import UserError
from ...core.names import shortened
from ...core.run import Run
from ...data.dataset import Dataset, load_dataset
from ...pretrained import causal_gen_hvae, causal_gen_vae
from ...pretrained.causal_gen_hvae import describe_hvae, rename_hvae
from ...pretrained.causal_gen_vae import describe_vae, rename_vae, unknown_names
from ...pretrained.checkpoints import Published
from ...pretrained.foreign_state import checked, examples, fitted
from ...pretrained.import_options import Options
from .model import build_image_mechanism

__all__ = ["import_image_mechanism"]

_ENTRIES = ("ema_model_state_dict", "model_state_dict")
"""The averaged weights are preferred."""


def import_image_mechanism(
    published: Published, options: Options, run: Run
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns weights and description of an image mechanism of causal-gen.

    Options, for a file that does not hold causal-gen's settings (`hparams`): `enc_arch` and `dec_arch` (HVAE), and
    `parents_x`, the variables in the order in which the network receives them.

    Arguments:
        published: The checkpoint.
        options: The options.
        run: The name (`vae` or `hvae`) and the folder of the data set.

    Raises:
        UserError: If an option is missing or wrong, or the network is for other images or variables.
        BadFile: If the file holds the weights of another network.
    """
    dataset, state = load_dataset(run.data), published.state(*_ENTRIES)
    hparams = published.value.get("hparams", {})
    if isinstance(hparams, Mapping):
        options.known = {key: hparams[key] for key in ("enc_arch", "dec_arch", "parents_x") if key in hparams}
    columns, hierarchical = _columns(dataset, options), run.name == "hvae"
    if hierarchical:
        kind, rename = causal_gen_hvae.KIND, rename_hvae
        why = "the shapes of the weights do not determine the resolutions of the blocks"
        enc_arch, dec_arch = options.text("enc_arch", why), options.text("dec_arch", why)
        network = describe_hvae(state, enc_arch, dec_arch, published.path)
        if network["resolutions"][0] != dataset.shape[1]:
            raise UserError(
                f"{published.path}: its network is for images of {network['resolutions'][0]} px, but "
                f"{dataset.name} has {dataset.shape[1]} px; change data.image_size"
            )
    else:
        kind, rename = causal_gen_vae.KIND, rename_vae
        network = describe_vae(state, published.path)
        unknown = unknown_names(state)
        if unknown:
            raise UserError(
                f"{published.path}: holds {shortened(unknown[0])}, which no simple VAE has; name another file"
            )
    width = network["parents"]
    if width != dataset.width:
        raise UserError(
            f"{published.path}: its network receives {width} columns of parents, but {dataset.name} has "
            f"{dataset.width}; choose the data set it was trained on"
        )
    arguments = {key: value for key, value in network.items() if key != "parents"} | {"exposure": []}
    model = fitted(
        lambda: build_image_mechanism(run.name, dataset, arguments),
        lambda: rename(state, network, columns),
        published.path,
        f"{kind} for {dataset.shape[0]} x {dataset.shape[1]} x {dataset.shape[2]} images",
    )
    noise = [torch.zeros(1, *shape) for shape in model.noise_shapes]
    image, parents = examples(1, *dataset.shape), examples(1, dataset.width)
    checked(lambda: model.elbo(image, parents, noise)[:2], published.path, kind)
    return model.state_dict(), {
        "model": run.name,
        "network": arguments,
        "parameters": sum(one.numel() for one in model.parameters()),
    }


def _columns(dataset: Dataset, options: Options) -> list[int]:
    """Returns, for each column of our encoded parents, its place in the published ones."""
    names = options.names("parents_x", "it is the order of the variables that the network receives")
    if sorted(names) != sorted(dataset.names):
        raise UserError(
            f"option parents_x: is {shortened(', '.join(names))}, but {dataset.name} has {', '.join(dataset.names)}; "
            "choose the data set the network was trained on"
        )
    starts, start = {}, 0
    for name in names:
        starts[name] = start
        start += dataset.variable(name).width
    places = [
        torch.arange(starts[variable.name], starts[variable.name] + variable.width)
        for variable in dataset.variables
    ]
    return torch.cat(places).tolist()
