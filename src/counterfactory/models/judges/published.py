"""Imports the predictors of causal-gen and of counterfactual-benchmark as judges or predictors."""

from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from ...core.errors import BadFile, UserError
from ...core.run import Run
from ...data.dataset import Dataset, Variable, load_dataset, load_split
from ...pretrained.checkpoints import Options, Published
from ...pretrained.predictors import describe_predictor, networks_in, rename_predictor
from .model import Judge, build_judge
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
        chosen = options.need("network", "the file holds several networks", list(networks))
    state = networks[chosen]
    network = describe_predictor(state, dataset.shape[1], variable.classes, published.path)
    if network["channels"] != dataset.shape[0]:
        raise BadFile(
            f"{published.path}: for images of {network['channels']} channels, not {dataset.shape[0]}"
        )
    if not variable.classes and (options.has("low") or options.has("high")):
        low, high = (float(options.need(key, "both ends of the range are needed")) for key in ("low", "high"))
        variable = replace(variable, low=low, high=high)
    context = _context(dataset, network["context"], options)
    if "architecture" in network:
        starts, start = [], 0
        for one in context:
            if one.classes != 2:
                raise UserError(f"option context: {one.name} must have two values; name other variables")
            starts.append(start + 1)  # of the one-hot code, the column of the value 1
            start += one.width
        network = {key: network[key] for key in ("architecture", "channels")} | {"columns": starts}
    model = build_judge(**network)
    try:
        model.load_state_dict(rename_predictor(state, network))
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise BadFile(f"{published.path}: not a published predictor ({line}); name another file") from None
    model.eval().requires_grad_(False)
    judge = Judge(model, variable, context, "cpu")
    errors = {"test": error_on(judge, load_split(run.data, "test"))}
    return model.state_dict(), {
        "kind": KINDS[model_name],
        "network": network,
        "variable": asdict(variable),
        "context": [asdict(one) for one in context],
        "errors": errors,
    }


def _context(dataset: Dataset, columns: int, options: Options) -> tuple[Variable, ...]:
    """Returns the variables that the network receives beside the image."""
    if not columns:
        return ()
    given = options.need("context", f"the network has {columns} inputs beside the image")
    names = given.split(",") if isinstance(given, str) else list(given)
    found = tuple(dataset.variable(str(one).strip()) for one in names)
    width = sum(1 if one.classes == 2 else one.width for one in found)
    if width != columns:
        raise UserError(
            f"option context: {', '.join(one.name for one in found)} have {width} columns, but the network has "
            f"{columns}; name others"
        )
    return found
