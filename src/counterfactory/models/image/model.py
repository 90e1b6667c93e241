"""Builds and loads image mechanisms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.checkpoint import load_model
from ...core.errors import UserError
from ...data.dataset import Dataset, variable_columns
from .calibration import Calibration
from .hvae import Hvae
from .levels import Levels
from .transport import Transport
from .vae import Vae

__all__ = ["build_image_mechanism", "exposed_columns", "load_image_mechanism"]

CORRECTIONS = ("transport", "levels", "calibrate", "debias")
"""The settings of the corrections of answers; all others are arguments of the network."""

NETWORKS: dict[str, type[Vae] | type[Hvae]] = {"vae": Vae, "hvae": Hvae}


def build_image_mechanism(name: str, dataset: Dataset, network: Mapping[str, Any]) -> Vae | Hvae:
    """Returns an untrained image mechanism for a data set.

    Arguments:
        name: `vae` or `hvae`.
        dataset: The data set.
        network: The settings `models.<name>.network`.

    Returns:
        The mechanism. Its attributes `transport` (:class:`counterfactory.models.image.transport.Transport`),
        `grey_levels` (:class:`counterfactory.models.image.levels.Levels`) and `calibration`
        (:class:`counterfactory.models.image.calibration.Calibration`) are None where the network does not ask for them.
        `debias` is the share of :mod:`counterfactory.models.image.debias`.

    Raises:
        UserError: If there is no such network, or its sizes do not fit the images.
    """
    if name not in NETWORKS:
        raise UserError(f"models: {name} is not an image mechanism; choose one of {', '.join(NETWORKS)}")
    sizes = {key: value for key, value in network.items() if key not in CORRECTIONS}
    exposed = exposed_columns(dataset, network)
    try:
        mechanism: Any = NETWORKS[name](dataset.shape, dataset.width, **{**sizes, "exposure": exposed})
        # Weights that were trained before these settings existed have none.
        moves = network.get("transport", False)
        mechanism.transport = Transport(dataset, mechanism.noise_shapes) if moves else None
        mechanism.grey_levels = Levels(dataset, exposed) if network.get("levels", False) else None
        mechanism.calibration = Calibration(dataset, exposed) if network.get("calibrate", False) else None
        mechanism.debias = network.get("debias", 0.0)
        return mechanism
    except ValueError as error:
        raise UserError(f"models.{name}.network: {error}") from None


def exposed_columns(dataset: Dataset, network: Mapping[str, Any]) -> list[int]:
    """Returns the columns of the encoded parents that belong to the variables named in `network["exposure"]`.

    Raises:
        UserError: If one of them is not a variable of the data set.
    """
    named = [dataset.variable(name).name for name in network.get("exposure", ())]
    return [
        column
        for variable, columns in zip(dataset.variables, variable_columns(dataset), strict=True)
        if variable.name in named
        for column in range(columns.start, columns.stop)
    ]


def load_image_mechanism(
    folder: Path | str, dataset: Dataset, device: str = "cpu", expected: str = ""
) -> Vae | Hvae:
    """Returns a trained image mechanism in evaluation mode.

    Arguments:
        folder: The folder of the model.
        dataset: The data set.
        device: `cpu` or `cuda`.
        expected: The name that the model must have, such as `vae_ft`; by default any.

    Raises:
        UserError: If the weights are missing, damaged, of another model, or were trained on other variables.
    """
    state, meta = load_model(folder, expected)
    try:
        model = build_image_mechanism(meta["model"], dataset, meta["network"])
        model.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError):
        raise UserError(
            f"{folder}: these weights are of another network or data set; train the model again"
        ) from None
    return model.to(device).eval()
