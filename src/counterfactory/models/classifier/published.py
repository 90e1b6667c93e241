"""Imports a classifier or an oracle: DiME's, or another one as a state dictionary or an ONNX file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from ...core.errors import BadFile, UserError
from ...core.names import shortened
from ...core.run import Run
from ...data.attributes import attribute_labels
from ...data.celeba_entry import ATTRIBUTES
from ...data.dataset import load_dataset, load_split
from ...data.outputs import Outputs, outputs_of
from ...pretrained.checkpoints import Published
from ...pretrained.dime_classifier import rename_dime_classifier
from ...pretrained.dime_oracle import rename_dime_oracle
from ...pretrained.foreign_state import checked, examples, fitted, interpreting, renamed
from ...pretrained.import_options import Options
from ...pretrained.onnx_graph import read_onnx
from .imported import PIXELS, ImportedClassifier, is_known
from .model import AttributeClassifier
from .train import constant_outputs, measured_errors

__all__ = ["import_classifier"]

_KINDS = {
    "dime_classifier": "DiME's classifier",
    "dime_oracle": "DiME's oracle",
    "onnx": "a supported ONNX graph",
    "counterfactory": "a classifier of this package",
}
"""The kind of the weights of each architecture but those of torchvision, for messages."""


def import_classifier(
    published: Published, options: Options, run: Run
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns weights and description of a classifier.

    DiME's classifier and oracle need no options. Options of other files:

    - `architecture`: a network of torchvision, such as `resnet18`, or `counterfactory` for a classifier that this
      package trained; not for ONNX;
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
        BadFile: If the file holds the weights of another network, or the network cannot classify the images.
    """
    dataset = load_dataset(run.data)
    outputs = outputs_of(run.attributes or {}, dataset.variables, dataset.labels)
    network, rename, names = _network(published, options, dataset.shape[0])
    network["columns"] = _columns(outputs, names, published)
    kind = _KINDS.get(network["architecture"], network["architecture"])
    model = fitted(lambda: ImportedClassifier(**network), rename, published.path, kind)
    _check(model, dataset.shape, published, kind)
    meta = {
        "kind": run.name,
        "network": network,
        "attributes": {name: {"of": one.of, "above": one.above} for name, one in outputs.binary.items()},
        "categorical": [asdict(variable) for variable in outputs.categorical],
    }
    return model.state_dict(), meta | _measured(model, outputs, run)


def _network(
    published: Published, options: Options, channels: int
) -> tuple[dict[str, Any], Callable[[], dict[str, Tensor]], list[str]]:
    """Returns the arguments of the network, a function that returns its weights, and the names of its logits."""
    value = published.value
    if isinstance(value.get("feat_extract"), Mapping) and isinstance(value.get("classifier"), Mapping):
        return _dime(published, options, channels)
    arguments: dict[str, Any] = {}
    if published.path.suffix == ".onnx":
        nodes, state = read_onnx(published.path)
        shapes = {
            name: [list(one.shape), str(one.dtype).removeprefix("torch.")] for name, one in state.items()
        }
        architecture, arguments = "onnx", {"nodes": nodes, "shapes": shapes}
    else:
        state = published.state("state_dict", "model_state_dict", "model")
        state = renamed(state, lambda key, _: key.removeprefix("module."))
        architecture = options.text("architecture", "the names of weights do not determine the layers' order")
        if architecture == "counterfactory":
            arguments = _own(state, published)
        elif architecture in _KINDS:
            raise UserError(
                f"option architecture: {architecture} is recognised by the content of the file, and "
                f"{published.path} has another one; name a network of torchvision, such as resnet18"
            )
        elif not is_known(architecture):
            raise UserError(
                f"option architecture: {shortened(architecture)} is no classifier of torchvision; name one, such as "
                "resnet18"
            )
    names = _names(options, 0)
    pixels = options.choice("pixels", "another scale changes every prediction", PIXELS)
    size = options.whole("size", "", most=2_048) if options.has("size") else 0
    found = {"architecture": architecture, "outputs": len(names), "pixels": pixels, "size": size}
    return found | arguments, lambda: renamed(state, lambda key, _: f"network.{key}"), names


def _dime(
    published: Published, options: Options, channels: int
) -> tuple[dict[str, Any], Callable[[], dict[str, Tensor]], list[str]]:
    """Returns what :func:`_network` does, for DiME's classifier and oracle."""
    trunk, head = (
        replace(published, value=published.value[key]).state() for key in ("feat_extract", "classifier")
    )
    architecture = "dime_oracle" if "conv1_7x7_s2.weight" in trunk else "dime_classifier"
    rename = rename_dime_oracle if architecture == "dime_oracle" else rename_dime_classifier
    with interpreting(published.path, _KINDS[architecture]):
        count = head["bias"].shape[0]
    if channels != 3:
        raise UserError(
            f"{published.path}: classifies images of 3 channels, not {channels}; use another file"
        )
    options.known = {"outputs": list(ATTRIBUTES)} if count == len(ATTRIBUTES) else {}
    names = _names(options, count)

    def renamed_state() -> dict[str, Tensor]:
        return renamed(rename(trunk, head), lambda key, _: f"network.{key}")

    return {"architecture": architecture, "outputs": count}, renamed_state, names


def _own(state: Mapping[str, Tensor], published: Published) -> dict[str, int]:
    """Returns the sizes of a classifier that was trained by this package, from the shapes of its weights."""
    with interpreting(published.path, _KINDS["counterfactory"]):
        width, channels = state["trunk.layers.0.0.weight"].shape[:2]
        return {
            "channels": channels,
            "width": width,
            "halvings": len({key.split(".")[2] for key in state if key.startswith("trunk.layers.")}),
            "features": state["head.weight"].shape[1],
        }


def _check(model: ImportedClassifier, shape: Sequence[int], published: Published, kind: str) -> None:
    """Raises an error if the network cannot classify images, or has another number of logits than names."""
    images = examples(2, *shape)
    # The operators of an ONNX graph check their arguments by their types only.
    also = (TypeError, AttributeError) if published.path.suffix == ".onnx" else ()
    (logits,) = checked(lambda: model.network(model.prepare(images)), published.path, kind, also)
    outputs = model.missing
    if logits.dim() != 2 or len(logits) != len(images):
        raise BadFile(
            f"{published.path}: its output for {len(images)} images has the shape {tuple(logits.shape)}, not "
            f"(images, logits); name another file"
        )
    if logits.shape[1] != outputs:
        raise UserError(
            f"option outputs: has {outputs} names, but the network has {logits.shape[1]} logits; correct it"
        )
    checked(lambda: [model.features(images), *model.stages(images)], published.path, kind, also)


def _names(options: Options, count: int) -> list[str]:
    """Returns the names of the logits."""
    names = options.names("outputs", "the weights do not say what each logit predicts; name all, in order")
    used = [name.casefold() for name in names if name != "-"]
    twice = next((name for name in used if used.count(name) > 1), "")
    if twice:
        raise UserError(f"option outputs: names {shortened(twice)} twice; use - for a logit that is not used")
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
            f"{published.path}: predicts {shortened(', '.join(names))}, but the configuration has "
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
