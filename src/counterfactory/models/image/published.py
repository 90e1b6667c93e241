"""Imports causal-gen's image mechanisms: the hierarchical VAE and the simple VAE."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...core.errors import UserError
from ...core.run import Run
from ...data.dataset import Dataset, load_dataset
from ...pretrained.causal_gen_hvae import describe_hvae, rename_hvae
from ...pretrained.causal_gen_vae import describe_vae, rename_vae, unknown_names
from ...pretrained.checkpoints import Options, Published
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
    columns = _columns(dataset, options)
    if run.name == "hvae":
        why = "the shapes of the weights do not determine the resolutions of the blocks"
        enc_arch, dec_arch = options.need("enc_arch", why), options.need("dec_arch", why)
        network = describe_hvae(state, enc_arch, dec_arch, published.path)
        renamed = None
    else:
        network = describe_vae(state, published.path)
        unknown = unknown_names(state)
        if unknown:
            raise UserError(
                f"{published.path}: holds {unknown[0]}, which no simple VAE has; name another file"
            )
        renamed = rename_vae(state, network, columns)
    width = network["parents"]
    if width != dataset.width:
        raise UserError(
            f"{published.path}: its network receives {width} columns of parents, but {dataset.name} has "
            f"{dataset.width}; choose the data set it was trained on"
        )
    renamed = rename_hvae(state, network, columns) if renamed is None else renamed
    arguments = {key: value for key, value in network.items() if key != "parents"} | {"exposure": []}
    model = build_image_mechanism(run.name, dataset, arguments)
    try:
        model.load_state_dict(renamed)
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise UserError(f"{published.path}: does not fit images of {dataset.shape} ({line})") from None
    return model.state_dict(), {
        "model": run.name,
        "network": arguments,
        "parameters": sum(one.numel() for one in model.parameters()),
    }


def _columns(dataset: Dataset, options: Options) -> list[int]:
    """Returns, for each column of our encoded parents, its place in the published ones."""
    names = options.need("parents_x", "it is the order of the variables that the network receives")
    names = [one.strip() for one in names.split(",")] if isinstance(names, str) else list(names)
    if sorted(names) != sorted(dataset.names):
        raise UserError(
            f"option parents_x: is {', '.join(map(str, names))}, but {dataset.name} has {', '.join(dataset.names)}; "
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
