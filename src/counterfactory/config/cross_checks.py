"""Checks whether the values of a configuration, which are valid individually, agree with each other."""

from collections.abc import Iterator
from pathlib import Path

from ..core.errors import UserError
from ..core.plugins import broken, clashes
from ..methods.registry import METHODS
from ..questions.registry import SUITES
from .error_messages import shown
from .model_checks import model_errors, used_networks
from .question_checks import question_errors
from .settings import Settings

__all__ = ["errors_of", "warnings_of"]


def errors_of(settings: Settings) -> Iterator[str]:
    """Yields one line for each contradiction between values, with the keys and the remedy."""
    yield from clashes()
    yield from _results(settings)
    try:
        _ = settings.entry
    except UserError as error:  # the section data does not describe the data set: no other check is possible
        yield str(error)
        return
    yield from _methods(settings)
    yield from _sizes(settings)
    yield from model_errors(settings)
    yield from question_errors(settings)


def warnings_of(settings: Settings) -> Iterator[str]:
    """Yields one line for each value that is reduced to what is possible."""
    yield from broken()
    flip, entry = settings.questions.flip, settings.entry
    for method in settings.methods if flip.images else []:
        count = flip.count(entry.classes, getattr(getattr(settings.answers, method, None), "images", None))
        if count < settings.answers.chunks and "flip" in METHODS[method].suites:
            yield (
                f"answers.chunks is {settings.answers.chunks:,}, but {method} answers {count:,} questions of the "
                f"suite flip: {count:,} chunks are used"
            )


def _results(settings: Settings) -> Iterator[str]:
    folder = Path(settings.results)
    for path in (folder, *folder.parents):
        try:
            blocked = path.exists() and not path.is_dir()
        except OSError:  # a name that the file system does not allow, or a folder that cannot be read
            blocked = False
        if blocked:
            yield f"results is {shown(settings.results)}, but {path} is a file; name a folder"
            return


def _methods(settings: Settings) -> Iterator[str]:
    entry = settings.entry
    for method in settings.methods:
        if METHODS[method].simulated and not entry.simulated:
            yield f"methods contains {method!r}, but {settings.dataset} is not simulated; remove it"
    trained = settings.identity.network.name == "trained"
    if "identity" in used_networks(settings) and trained and not (entry.simulated or entry.identities):
        key = "name data.identity_column" if settings.dataset == "folder" else "choose a published network"
        yield (
            f"scores.metrics contains 'identity', but {settings.dataset} does not say whom an image shows; {key}, or "
            "remove it"
        )
    if settings.finetune and not any(name.endswith("_ft") for name in settings.methods):
        yield "finetune is true, but no method can be fine-tuned; add vae or hvae to methods, or set false"


def _sizes(settings: Settings) -> Iterator[str]:
    data, entry = settings.data, settings.entry
    drawn = data.train + data.valid + data.judges
    if drawn > entry.train:
        yield (
            f"data.train + data.valid + data.judges is {drawn:,}, but {entry.origin}'s training set has "
            f"{entry.train:,} images; lower one of them"
        )
    if data.test > entry.test:
        yield f"data.test is {data.test:,}, but {entry.origin}'s test set has {entry.test:,} images; lower it"
    sizes, total = entry.sizes, drawn + data.test
    if sizes and total > sum(sizes.values()):
        test = min(data.test, sizes["test"])
        for suite in SUITES:
            images = getattr(settings.questions, suite).images
            if images > test:
                yield (
                    f"questions.{suite}.images is {images:,}, but {entry.origin} has {sum(sizes.values()):,} rows, so "
                    f"that the test split has {test:,} images; lower it"
                )
    if entry.size and data.image_size != entry.size:
        yield (
            f"data.image_size is {data.image_size}, but images of {settings.dataset} have {entry.size} px; "
            f"set {entry.size}"
        )
