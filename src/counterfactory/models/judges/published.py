"""Imports the predictors of causal-gen and of counterfactual-benchmark as judges or predictors."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from ...core.errors import BadFile, UserError
from ...core.names import shortened
from ...core.run import Run
from ...data.dataset import Dataset, Variable, load_dataset, load_split
from ...pretrained.checkpoints import Published
from ...pretrained.foreign_state import checked, examples, fitted
from ...pretrained.import_options import Options
from ...pretrained.predictors import KIND, describe_predictor, networks_in, rename_predictor
from .model import Judge, build_judge, point_prediction
from .train import KINDS, error_on

__all__ = ["import_judge"]


def import_judge(
    published: Published, options: Options, run: Run
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns weights and description of a published predictor of one variable.

    Options:

    - `network`: the prefix of the network, such as `encoder_t`, for a file that holds several;
    - `context`: the variables that are inputs beside the image, in order, separated by commas, if there are any;
    - `low`, `high`: the values that the network sees as -1 and 1, if they are not those of the data set (a continuous
      variable).

    Arguments:
        published: The checkpoint.
        options: The options.
        run: The name (`judges/<variable>` or `predictors/<variable>`) and the folder of the data set.

    Raises:
        UserError: If an option is missing or wrong.
        BadFile: If the file holds the weights of another network.
    """
    model_name, _, name = run.name.partition("/")
    dataset = load_dataset(run.data)
    variable = dataset.variable(name)
    networks = networks_in(published.state("ema_model_state_dict", "state_dict", "model_state_dict"))
    if not networks:
        raise BadFile(f"{published.path}: holds no published predictor; name another file")
    chosen = next(iter(networks))
    if len(networks) > 1:
        chosen = options.choice("network", "the file holds several networks", list(networks))
    state = networks[chosen]
    network = describe_predictor(state, dataset.shape[1], variable.classes, published.path)
    if network["channels"] != dataset.shape[0]:
        raise BadFile(
            f"{published.path}: for images of {network['channels']} channels, not {dataset.shape[0]}"
        )
    if not variable.classes and (options.has("low") or options.has("high")):
        low, high = (options.number(key, "both ends of the range are needed") for key in ("low", "high"))
        if low >= high:
            raise UserError(f"option low: is {low:g}, but high is {high:g}; give a smaller one")
        variable = replace(variable, low=low, high=high)
    context, single = _context(dataset, network["context"], options)
    if "architecture" in network:
        starts, start = [], 0
        for one in context:
            if one.classes != 2:
                raise UserError(f"option context: {one.name} must have two values; name other variables")
            starts.append(start + 1)  # of the one-hot code, the column of the value 1
            start += one.width
        network = {key: network[key] for key in ("architecture", "channels")} | {"columns": starts}
    else:
        network = network | {"context": sum(one.width for one in context)}

    def rename() -> dict[str, Tensor]:
        found = rename_predictor(state, network)
        if single and "head.0.weight" in found:
            found["head.0.weight"] = _one_hot_columns(found["head.0.weight"], context)
        return found

    model = fitted(lambda: build_judge(**network), rename, published.path, KIND)
    rows = examples(2, sum(one.width for one in context)) if context else None
    images = examples(2, *dataset.shape)
    checked(lambda: point_prediction(model(images, rows), variable).double(), published.path, KIND)
    judge = Judge(model, variable, context, "cpu")
    errors = {"test": error_on(judge, load_split(run.data, "test"))}
    return model.state_dict(), {
        "kind": KINDS[model_name],
        "network": network,
        "variable": asdict(variable),
        "context": [asdict(one) for one in context],
        "errors": errors,
    }


def _context(dataset: Dataset, columns: int, options: Options) -> tuple[tuple[Variable, ...], bool]:
    """Returns the variables that the network receives beside the image.

    A variable of two values is one column, 0 or 1, or two columns, one-hot.

    Returns:
        The variables, and whether those of two values are one column.
    """
    if not columns:
        return (), False
    names = options.names("context", f"the network has {columns} inputs beside the image")
    if len(set(names)) < len(names):
        raise UserError(f"option context: {shortened(', '.join(names))} names a variable twice; correct it")
    for one in names:
        if one not in dataset.names:
            raise UserError(
                f"option context: {shortened(one)} is no variable of {dataset.name}; choose from "
                f"{', '.join(dataset.names)}"
            )
    found = tuple(dataset.variable(one) for one in names)
    single = sum(1 if one.classes == 2 else one.width for one in found)
    if columns == single:
        return found, any(one.classes == 2 for one in found)
    if columns == sum(one.width for one in found):
        return found, False
    raise UserError(
        f"option context: {', '.join(one.name for one in found)} have {single} columns, but the network has "
        f"{columns}; name others"
    )


def _one_hot_columns(weight: Tensor, context: Sequence[Variable]) -> Tensor:
    """Returns the weights of a dense layer for one-hot codes of the variables that were one column, 0 or 1.

    The value 0 has no effect, so the column of its code is 0 and that of the value 1 is the column of the file.
    """
    widths = [1 if one.classes == 2 else one.width for one in context]
    features, *columns = weight.split([weight.shape[1] - sum(widths), *widths], dim=1)
    parts = [
        torch.cat([torch.zeros_like(column), column], 1) if one.classes == 2 else column
        for one, column in zip(context, columns, strict=True)
    ]
    return torch.cat([features, *parts], 1)
