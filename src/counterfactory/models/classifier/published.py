"""Imports a classifier or an oracle: DiME's, or another one as a state dictionary or an ONNX file."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from ...core.errors import BadFile, UserError
from ...core.run import Run
from ...data.attributes import attribute_labels
from ...data.celeba_entry import ATTRIBUTES
from ...data.dataset import load_dataset, load_split
from ...data.outputs import Outputs, outputs_of
from ...pretrained.checkpoints import Options, Published
from ...pretrained.dime_classifier import rename_dime_classifier
from ...pretrained.dime_oracle import rename_dime_oracle
from ...pretrained.onnx_graph import read_onnx
from .imported import PIXELS, ImportedClassifier
from .model import AttributeClassifier
from .train import constant_outputs, measured_errors

__all__ = ["import_classifier"]


def import_classifier(
    published: Published, options: Options, run: Run
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns weights and description of a classifier.

    DiME's classifier and oracle need no options. Options of other files:

    - `architecture`: a network of torchvision, such as `resnet18`; not for ONNX;
    - `outputs`: the names of the logits in order, separated by commas; `digit=3` is class 3 of the variable `digit`,
      `-` a logit that is not used;
    - `pixels`: the scale that the network expects, one of :data:`counterfactory.models.classifier.imported.PIXELS`;
    - `size`: if images are resized first, the height and width in px.

    Arguments:
        published: The checkpoint.
        options: The options.
        run: The name (`classifier` or `oracle`), the folder of the data set, and the attributes.

    Raises:
        UserError: If an option is missing or wrong, or no output of the configuration is predicted.
        BadFile: If the file holds the weights of another network.
    """
    dataset = load_dataset(run.data)
    outputs = outputs_of(run.attributes or {}, dataset.variables, dataset.labels)
    network, state, names = _network(published, options, dataset.shape[0])
    network["columns"] = _columns(outputs, names, published)
    try:
        model = ImportedClassifier(**network)
    except ValueError as error:
        raise UserError(f"option architecture: {error}; name one, such as resnet18") from None
    try:
        model.network.load_state_dict(state)
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise BadFile(
            f"{published.path}: not the weights of {network['architecture']} ({line}); correct the option architecture"
        ) from None
    model.eval().requires_grad_(False)
    meta = {
        "kind": run.name,
        "network": network,
        "attributes": {name: {"of": one.of, "above": one.above} for name, one in outputs.binary.items()},
        "categorical": [asdict(variable) for variable in outputs.categorical],
    }
    return model.state_dict(), meta | _measured(model, outputs, run)


def _network(
    published: Published, options: Options, channels: int
) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """Returns the arguments of the network, its weights, and the names of its logits."""
    value = published.value
    if isinstance(value.get("feat_extract"), Mapping) and isinstance(value.get("classifier"), Mapping):
        parts = [replace(published, value=value[key]).state() for key in ("feat_extract", "classifier")]
        oracle = "conv1_7x7_s2.weight" in parts[0]
        rename = rename_dime_oracle if oracle else rename_dime_classifier
        count = len(parts[1].get("bias", ()))
        if channels != 3:
            raise UserError(
                f"{published.path}: classifies images of 3 channels, not {channels}; use another file"
            )
        options.known = {"outputs": list(ATTRIBUTES)} if count == len(ATTRIBUTES) else {}
        names = _names(options, count)
        found = {"architecture": "dime_oracle" if oracle else "dime_classifier", "outputs": count}
        return found, rename(*parts), names
    arguments: dict[str, Any] = {}
    if published.path.suffix == ".onnx":
        nodes, state = read_onnx(published.path)
        shapes = {
            name: [list(one.shape), str(one.dtype).removeprefix("torch.")] for name, one in state.items()
        }
        architecture, arguments = "onnx", {"nodes": nodes, "shapes": shapes}
        names = _names(options, 0)
    else:
        state = published.state("state_dict", "model_state_dict", "model")
        state = {key.removeprefix("module."): one for key, one in state.items()}
        architecture = options.need("architecture", "the names of weights do not determine the layers' order")
        names = _names(options, 0)
    pixels = options.need("pixels", "another scale changes every prediction", PIXELS)
    size = options.whole("size", "") if options.has("size") else 0
    found = {"architecture": architecture, "outputs": len(names), "pixels": pixels, "size": size}
    return found | arguments, state, names


def _names(options: Options, count: int) -> list[str]:
    """Returns the names of the logits."""
    given = options.need("outputs", "the weights do not say what each logit predicts; name all, in order")
    names = (
        [one.strip() for one in given.split(",")] if isinstance(given, str) else [str(one) for one in given]
    )
    if count and len(names) != count:
        raise UserError(
            f"option outputs: has {len(names)} names, but the network has {count} logits; correct it"
        )
    return names


def _columns(outputs: Outputs, names: list[str], published: Published) -> list[int | None]:
    """Returns the logit of each output of the configuration; None where the network has none."""
    places = {name.casefold(): number for number, name in enumerate(names)}
    wanted = [
        *outputs.binary,
        *(f"{one.name}={value}" for one in outputs.categorical for value in range(one.classes)),
    ]
    found = [places.get(name.casefold()) for name in wanted]
    for variable in outputs.categorical:
        own = [places.get(f"{variable.name}={value}".casefold()) for value in range(variable.classes)]
        if any(one is None for one in own) and any(one is not None for one in own):
            raise UserError(
                f"option outputs: names some classes of {variable.name} only; name all {variable.classes}"
            )
    if all(one is None for one in found):
        raise UserError(
            f"{published.path}: predicts {', '.join(names[:5])} ..., but the configuration has "
            f"{', '.join(outputs.sizes)}; define an attribute of the same name"
        )
    return found


def _measured(model: ImportedClassifier, outputs: Outputs, run: Run) -> dict[str, Any]:
    """Returns the errors and the constant outputs of the classifier, as after a training."""
    dataset = load_dataset(run.data)
    classifier = AttributeClassifier(model, outputs.binary, outputs.categorical)
    parts = {name: load_split(run.data, name) for name in ("valid", "test")}
    labels = {name: attribute_labels(dataset, part, outputs.binary) for name, part in parts.items()}
    predicted = {name: classifier.probabilities(part.images) for name, part in parts.items()}
    errors = {
        name: measured_errors(classifier, predicted[name], labels[name], part) for name, part in parts.items()
    }
    constant = {
        name: reason.replace("train it longer", "name other weights")
        for name, reason in constant_outputs(classifier, list(predicted.values()), {}).items()
    }
    blocks = classifier.blocks
    for name in outputs.sizes:
        if all(column == model.missing for column in model.columns[blocks[name]]):
            constant[name] = f"the imported {run.name} does not predict {name}; name another file"
    return {"constant": constant, "errors": errors}
