"""Writes the model card of a bundle: methods, variables, scores, limits and license, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.descriptions import read_description
from ..data.variable import Variable
from ..methods.registry import METHODS
from .dials import dials_of
from .terms import Terms, terms_of

if TYPE_CHECKING:
    from .world import World

__all__ = ["model_card"]


def model_card(
    world: "World", contents: Mapping[str, Any], models: Sequence[str], size: int, weights_license: str = ""
) -> str:
    """Returns the text of `README.md`.

    Arguments:
        world: The results that the bundle is made of.
        contents: The contents of `bundle.json`.
        models: The folders of the models, relative to `models/`.
        size: The size of the other files in bytes.
        weights_license: The license of imported weights; empty: unknown.
    """
    terms = terms_of(world.folder / "models", world.dataset.name, models, weights_license)
    return "\n".join(_lines(world, contents, models, size, terms)) + "\n"


def _lines(
    world: "World", contents: Mapping[str, Any], models: Sequence[str], size: int, terms: Terms
) -> Iterator[str]:
    dataset = world.dataset
    titles = ", ".join(METHODS[name].title for name in contents["methods"])
    yield from (
        "---",
        f"license: {terms.license}",
        "library_name: counterfactory",
        "tags:",
        "- counterfactual",
        "- causality",
    )
    yield from ("---", "", f"# Counterfactuals of {dataset.name}: {titles}", "")
    yield f"Models that answer: what would this image look like, had a variable had another value? {size / 1e6:.1f} MB."
    yield from (
        "",
        "```python",
        "import counterfactory",
        "",
        'world = counterfactory.load("path/of/this/folder")',
        f'answer = world.imagine("mine.png", {_example(world, contents["methods"][0])})',
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
            else f"classes {', '.join(_class(variable, value) for value in known['classes'])}"
        )
        causes = ", ".join(cause for cause, effect in dataset.edges if effect == variable.name) or "none"
        yield f"| {variable.name} | {variable.unit or '-'} | {values} | {causes} |"
    channels, height, width = dataset.shape
    yield from ("", f"Images: {channels} x {height} x {width}, uint8.", "", "## Scores", "")
    table = world.folder / "tables" / "headline.md"
    if table.exists():
        yield "All methods of the run that these models are from, also those that are not in this folder:"
        yield ""
        yield from table.read_text(encoding="utf-8").splitlines()
    else:
        yield "The run has no table of scores."
    yield from ("", "## Evaluation networks", "")
    yield "Parents that are not given are measured in the image where the data set can be simulated, otherwise judged:"
    yield ""
    for variable in dataset.variables:
        meta = read_description(world.folder / "models" / "judges" / variable.name / "model.json")
        test = meta.get("errors", {}).get("test", {})
        shown = ", ".join(
            f"{name} {value:.3g}"
            for name, value in test.items()
            if name != "n" and isinstance(value, int | float)
        )
        unit = f" {variable.unit}" if variable.unit and shown else ""
        origin = "; imported, not trained here" if meta.get("imported") else ""
        yield f"- {variable.name}: {shown or 'no test error recorded'}{unit}{origin}"
    yield from ("", "## Limits", "")
    yield "- An answer is of the model, not of the world: no data can confirm a counterfactual of a real image."
    yield "- Values and images outside of the training data are extrapolated; `imagine` warns about them."
    yield from _residuals(contents)
    yield "- Intervals in the table are over questions, for one training; another training seed has other scores."
    yield from ("", "## Origin", "")
    yield f"- Written by counterfactory {contents['version']}, revision {contents['revision']}"
    yield f"- Training seed: {contents['seed']}"
    yield f"- Models: {', '.join(models)}"
    yield from (f"- {line}" for line in terms.lines)
    yield "- `data/training.safetensors`: the mean and the principal components of training images; no single image"


def _example(world: "World", method: str) -> str:
    """Returns the arguments of a question that the method answers."""
    if "do" not in METHODS[method].suites:
        known = world.training["flips"]
        flip = repr(next(iter(known))) if known else "{...}"
        return f'flip={flip.replace(chr(39), chr(34))}, method="{method}"'
    variables = world.dataset.variables
    first = next((one for one in variables if one.kind == "continuous"), variables[0])
    known = world.training["variables"][first.name]
    value = f"{(known['low'] + known['high']) / 2:.3g}" if "low" in known else known["classes"][-1]
    return f'do={{"{first.name}": {value}}}, method="{method}"'


def _class(variable: Variable, value: int) -> str:
    """Returns a class with its name, if it has one."""
    return f"{value} ({variable.names[value]})" if variable.names else str(value)


def _residuals(contents: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line on the residual of those methods that carry it over."""
    for method in contents["methods"]:
        section = dials_of(method).get("residual_temperature")
        if section is None:
            continue
        values = contents["answers"].get(method, {})
        value = (values.get(section, {}) if section else values).get("residual_temperature")
        for model in METHODS[method].models if not section else ():
            own = (values.get("temperatures") or {}).get(model, {}).get("residual")
            value = value if own is None else own
        share = (
            "the default share of the"
            if value is None
            else "the whole"
            if value == 1
            else f"{value:g} times the"
        )
        yield (
            f"- {METHODS[method].title}: {share} residual of an image is carried over; that of an unusual image can "
            "leave a halo (dial `residual_temperature`)."
        )
