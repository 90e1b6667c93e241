"""Writes the model card of a bundle: methods, variables, scores, limits and license, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.descriptions import read_description
from ..methods.registry import METHODS

if TYPE_CHECKING:
    from .world import World

__all__ = ["model_card"]

IMAGES = {
    "morphomnist": "MNIST (Y. LeCun, C. Cortes; distributed under CC BY-SA 3.0), resampled as in Morpho-MNIST "
    "(D. Castro et al., 2019; code under the MIT license)",
    "pendulum": "rendered by the package",
}
"""The origin of the training images, by data set; for others the card states the name of the data set."""


def model_card(world: "World", contents: Mapping[str, Any], models: Sequence[str], size: int) -> str:
    """Returns the text of `README.md`.

    Arguments:
        world: The results that the bundle is made of.
        contents: The contents of `bundle.json`.
        models: The folders of the models, relative to `models/`.
        size: The size of the other files in bytes.
    """
    return "\n".join(_lines(world, contents, models, size)) + "\n"


def _lines(world: "World", contents: Mapping[str, Any], models: Sequence[str], size: int) -> Iterator[str]:
    dataset = world.dataset
    titles = ", ".join(METHODS[name].title for name in contents["methods"])
    yield from (
        "---",
        "license: mit",
        "library_name: counterfactory",
        "tags:",
        "- counterfactual",
        "- causality",
    )
    yield from ("---", "", f"# Counterfactuals of {dataset.name}: {titles}", "")
    yield f"Models that answer: what would this image look like, had a variable had another value? {size / 1e6:.1f} MB."
    first = next((one for one in dataset.variables if one.kind == "continuous"), dataset.variables[0])
    known = world.training["variables"][first.name]
    value = f"{(known['low'] + known['high']) / 2:.3g}" if "low" in known else known["classes"][-1]
    yield from (
        "",
        "```python",
        "import counterfactory",
        "",
        'world = counterfactory.load("path/of/this/folder")',
        f'answer = world.imagine("mine.png", do={{"{first.name}": {value}}}, method="{contents["methods"][0]}")',
        'answer.save("after.png")',
        "```",
        "",
        "## Variables",
        "",
        "| variable | unit | training data | causes |",
        "| :-- | :-- | :-- | :-- |",
    )
    for variable in dataset.variables:
        known = world.training["variables"][variable.name]
        values = (
            f"{known['low']:.4g} to {known['high']:.4g}"
            if "low" in known
            else f"classes {', '.join(map(str, known['classes']))}"
        )
        causes = ", ".join(cause for cause, effect in dataset.edges if effect == variable.name) or "none"
        yield f"| {variable.name} | {variable.unit or '-'} | {values} | {causes} |"
    channels, height, width = dataset.shape
    yield from ("", f"Images: {channels} x {height} x {width}, uint8.", "", "## Scores", "")
    table = world.folder / "tables" / "headline.md"
    if table.exists():
        yield "All methods of the run that these models are from, also those that are not in this folder:"
        yield ""
        yield from (
            line.replace("### ", "### ", 1) for line in table.read_text(encoding="utf-8").splitlines()
        )
    else:
        yield "The run has no table of scores."
    yield from ("", "## Evaluation networks", "")
    yield "Parents that are not given are measured in the image where the data set can be simulated, otherwise judged:"
    yield ""
    for variable in dataset.variables:
        errors = read_description(world.folder / "models" / "judges" / variable.name / "model.json").get(
            "errors", {}
        )
        test = errors.get("test", {})
        shown = ", ".join(
            f"{name} {value:.3g}"
            for name, value in test.items()
            if name != "n" and isinstance(value, int | float)
        )
        yield f"- {variable.name}: {shown or 'no test error recorded'}{variable.unit and ' ' + variable.unit}"
    yield from ("", "## Limits", "")
    yield "- An answer is of the model, not of the world: no data can confirm a counterfactual of a real image."
    yield "- Values and images outside of the training data are extrapolated; `imagine` warns about them."
    yield "- The whole residual of an unusual image is carried over (`residual_temperature=1`) and can leave a halo."
    yield "- Intervals in the table are over questions, for one training; another training seed has other scores."
    yield from ("", "## Origin", "")
    yield f"- Revision {contents['revision']} of counterfactory {contents['version']}; training seed {contents['seed']}"
    yield f"- Models: {', '.join(models)}"
    yield f"- Training images: {IMAGES.get(dataset.name, 'those of the data set ' + dataset.name)}; none are included"
    foreign = [model for model in models if model.partition("/")[0] in ("lpips", "vgg19")]
    yield f"- License: MIT (code and the weights trained here){'; ' if foreign else ''}" + (
        f"{', '.join(foreign)}: weights of others, under the terms of their authors" if foreign else ""
    )
