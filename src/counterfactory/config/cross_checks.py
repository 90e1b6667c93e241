"""Says which values of a configuration, each right by itself, do not fit together."""

from collections.abc import Iterator

from ..data.registry import DATASETS
from ..methods.registry import METHODS, SUITES
from ..metrics.registry import METRICS
from ..nets.unet_sizes import check_sizes
from .explainers import EXPLAINERS
from .query_checks import query_checks
from .settings import Settings
from .training import ImageTrainingSettings

__all__ = ["cross_checks", "warnings_of"]


def cross_checks(settings: Settings) -> Iterator[str]:
    """Yields what is wrong between values that are right each by itself, one line a misfit."""
    yield from _named_twice(settings)
    yield from _dataset(settings)
    yield from _finetune(settings)
    yield from _attributes(settings)
    yield from _sizes(settings)
    yield from _trainings(settings)
    yield from _hvae(settings)
    yield from _denoisers(settings)
    yield from _exposure(settings)
    yield from _gan(settings)
    yield from _effect(settings)
    yield from _flip(settings)
    yield from _explainers(settings)
    yield from query_checks(settings)


def warnings_of(settings: Settings) -> Iterator[str]:
    """Yields what asks for more than there is and is done as far as it goes, one line each."""
    flip, entry = settings.questions.flip, DATASETS[settings.dataset]
    for method in settings.methods if flip.images else []:
        count = flip.count(entry.variables, getattr(getattr(settings.answers, method, None), "images", None))
        if count < settings.answers.chunks and "flip" in METHODS[method].suites:
            yield (
                f"answers.chunks is {settings.answers.chunks:,}, but {method} is asked {count:,} questions of the "
                f"suite flip: they are {count:,} chunks"
            )


def _named_twice(settings: Settings) -> Iterator[str]:
    questions = settings.questions
    lists = {
        "seeds": settings.seeds,
        "methods": settings.methods,
        "scores.metrics": settings.scores.metrics,
        "questions.do.interventions": questions.do.interventions,
        "questions.do.protocols": questions.do.protocols,
        "questions.null.cycles": questions.null.cycles,
        "questions.reverse.interventions": questions.reverse.interventions,
        "questions.reverse.cycles": questions.reverse.cycles,
        "questions.flip.attributes": questions.flip.attributes,
    }
    for path, values in lists.items():
        twice = [value for position, value in enumerate(values) if value in values[:position]]
        if twice:
            yield f"{path} names {twice[0]!r} twice; name it once"


def _dataset(settings: Settings) -> Iterator[str]:
    """What is asked of a data set that it does not have."""
    entry, questions = DATASETS[settings.dataset], settings.questions
    choices = {"do": [*entry.variables, "random"], "reverse": [*entry.variables]}
    for suite, known in choices.items():
        for name in getattr(questions, suite).interventions:
            if name not in known:
                yield (
                    f"questions.{suite}.interventions names {name!r}, which {settings.dataset} does not have; "
                    f"choose from {', '.join(known)}"
                )
    for method in settings.methods:
        if METHODS[method].simulated and not entry.simulated:
            yield f"methods names {method!r}, but {settings.dataset} is not simulated; leave it out"


def _attributes(settings: Settings) -> Iterator[str]:
    """Attributes of nothing that can be known; none at all; those that nobody asks about are not looked at."""
    asked = {*_models(settings), *_networks(settings)} & {"classifier", "oracle"}
    entry = DATASETS[settings.dataset]
    choices = [*entry.variables, *(name for name in entry.measured if name not in entry.variables)]
    kept = {name: one for name, one in settings.attributes.items() if one is not None}
    if asked and not kept:
        yield "attributes are all null; name one at least, such as thick: {of: thickness, above: 2.5}"
    for name, one in kept.items() if asked else []:
        if name in entry.variables:
            yield f"attributes names {name!r}, which is a variable of {settings.dataset}; give it another name"
        if one.of not in choices:
            yield (
                f"attributes.{name}.of is {one.of!r}, which {settings.dataset} does not have; set attributes.{name}: "
                f"null, or choose from {', '.join(choices)}"
            )


def _sizes(settings: Settings) -> Iterator[str]:
    """More images than there are; no question at all."""
    data, questions, entry = settings.data, settings.questions, DATASETS[settings.dataset]
    drawn = data.train + data.valid + data.judges
    if drawn > entry.train:
        yield (
            f"data.train + data.valid + data.judges is {drawn:,}, but {entry.origin}'s training set has "
            f"{entry.train:,} images; lower one of them"
        )
    if data.test > entry.test:
        yield f"data.test is {data.test:,}, but {entry.origin}'s test set has {entry.test:,} images; lower it"
    if entry.size and data.image_size != entry.size:
        yield f"data.image_size is {data.image_size}, but {settings.dataset} has {entry.size} only; set that"
    for suite in SUITES:
        images = getattr(questions, suite).images
        if images > data.test:
            yield f"questions.{suite}.images is {images:,}, but data.test has only {data.test:,} images; lower it"
    if not any(questions.count(suite, settings.dataset) for suite in SUITES if suite != "sweep"):
        yield "questions ask nothing: every suite has no image, intervention, protocol or cycle; give one"


def _finetune(settings: Settings) -> Iterator[str]:
    """Fine-tuning of nothing."""
    if settings.finetune and not any(name.endswith("_ft") for name in settings.methods):
        yield "finetune is true, but methods names nothing that can be fine-tuned; name vae or hvae, or set false"


def _models(settings: Settings) -> list[str]:
    """Returns the models that the chosen methods ask: those that are not trained are not looked at."""
    return sorted({model for method in settings.methods for model in METHODS[method].models})


def _networks(settings: Settings) -> set[str]:
    """Returns what else the chosen metrics ask, of the suites that are asked: classifier, oracle, identity, weights."""
    asked = {suite for suite in SUITES if settings.questions.count(suite, settings.dataset)}
    used = [METRICS[name] for name in settings.scores.metrics if set(METRICS[name].suites) & asked]
    return {model for metric in used for model in metric.models}


def _trainings(settings: Settings) -> Iterator[str]:
    trainings = {"judges": (settings.judges.training, "judges")}
    for name in _models(settings):
        trainings[f"models.{name}"] = (getattr(settings.models, name).training, "train")
    known = settings.identity.network
    if "identity" in _networks(settings) and known.name == "vggface2_resnet50" and known.weights == "package":
        yield (
            "identity.network.weights is 'package', but no package carries vggface2_resnet50; give its file, "
            "resnet50_ft_weight.pkl"
        )
    for name in ("oracle", *(["identity"] if known.name == "trained" else [])):
        if name in _networks(settings):
            trainings[name] = (getattr(settings, name).training, "judges")
    for path, (training, split) in trainings.items():
        size = getattr(settings.data, split)
        if training.batch_size > size:
            yield (
                f"{path}.training.batch_size is {training.batch_size:,}, but data.{split} has only {size:,} images; "
                "lower it"
            )
        if isinstance(training, ImageTrainingSettings) and training.scale_release < training.scale_hold:
            yield f"{path}.training.scale_release is less than scale_hold; make it at least {training.scale_hold:g}"


def _hvae(settings: Settings) -> Iterator[str]:
    if not {"hvae", "hvae_ft"} & set(_models(settings)):
        return
    network = settings.models.hvae.network
    for name in ("widths", "encoder_blocks", "decoder_blocks", "latents"):
        length = len(getattr(network, name))
        if length != len(network.resolutions):
            yield (
                f"models.hvae.network.{name} has {length} entries, but models.hvae.network.resolutions has "
                f"{len(network.resolutions)}; give one for each resolution"
            )
    size = settings.data.image_size
    if network.resolutions[0] * network.patch != size:
        yield (
            f"models.hvae.network.resolutions[0] is {network.resolutions[0]}, but data.image_size / patch is "
            f"{size / network.patch:g}; make them equal"
        )


def _denoisers(settings: Settings) -> Iterator[str]:
    """Sizes of a U-Net that do not fit the images or each other."""
    for name in [name for name in ("ddpm", "causaldiffae") if name in _models(settings)]:
        network = getattr(settings.models, name).network
        sizes = {
            key: getattr(network, key)
            for key in ("width", "multipliers", "attention", "heads", "patch", "groups")
        }
        try:
            check_sizes(settings.data.image_size, **sizes)
        except ValueError as error:
            yield f"models.{name}.network.{error}"


def _exposure(settings: Settings) -> Iterator[str]:
    """Variables that are said to act as exposure does, and that the data set does not have."""
    known = DATASETS[settings.dataset].variables
    for name in _models(settings):
        base = name.removesuffix("_ft")
        for variable in getattr(getattr(getattr(settings.models, base), "network", None), "exposure", ()):
            if variable not in known:
                yield (
                    f"models.{base}.network.exposure names {variable!r}, which {settings.dataset} does not have; "
                    f"set [], or choose from {', '.join(known)}"
                )


def _gan(settings: Settings) -> Iterator[str]:
    """Images that cannot be halved once a width."""
    for name in ("gan", "dcgan"):
        widths = getattr(settings.models, name).network.widths
        if settings.data.image_size % (1 << len(widths)):
            yield (
                f"models.{name}.network.widths has {len(widths)} entries, but data.image_size is "
                f"{settings.data.image_size}, which cannot be halved so often; give fewer"
            )


def _effect(settings: Settings) -> Iterator[str]:
    """Effects along other paths than the direct one need latents that mediate the parents."""
    effect = settings.answers.effect
    for name in _models(settings) if effect != "direct" else []:
        # A fine-tuned model has the network of the model it starts from.
        name = name.removesuffix("_ft")
        if getattr(getattr(settings.models, name).network, "prior", None) == "exogenous":
            yield (
                f"answers.effect is {effect!r}, which needs models.{name}.network.prior: conditional; "
                "set that, or effect: direct"
            )


def _flip(settings: Settings) -> Iterator[str]:
    """What the suite flip asks and cannot: attributes of no parent, classes that are not there."""
    flip, entry = settings.questions.flip, DATASETS[settings.dataset]
    if not flip.images:
        return
    known = {name: one for name, one in settings.attributes.items() if one is not None}
    choices = [name for name, one in known.items() if entry.variables.get(one.of) == 0]
    classes = {name: count for name, count in entry.variables.items() if count}
    for name in flip.attributes:
        if name not in choices and name not in classes:
            of = f", which is of {known[name].of} and not of a parent" if name in known else ""
            yield (
                f"questions.flip.attributes names {name!r}{of}; choose from {', '.join([*choices, *classes]) or 'none'}"
            )
    if flip.digit and ("digit" not in classes or "digit" in flip.attributes):
        reason = "names digit already" if "digit" in classes else f"{settings.dataset} has no digit"
        yield f"questions.flip.digit is true, but {reason}; set it to false"
    most = max(classes.values(), default=0)
    for label, target in flip.targets.items():
        if label == target or not (0 <= label < most and 0 <= target < most):
            yield f"questions.flip.targets has {label}: {target}; choose two different classes of 0 to {most - 1}"
    if not flip.attributes and not flip.digit:
        yield "questions.flip asks nothing: name an attribute, set digit: true, or set images: 0"


def _explainers(settings: Settings) -> Iterator[str]:
    """Walks that do not fit their steps."""
    steps = settings.models.ddpm.diffusion.steps
    for name, own in {name: getattr(settings.answers, name) for name in EXPLAINERS}.items():
        if name not in settings.methods:
            continue
        kept, path = own.timestep_respacing or steps, f"answers.{name}"
        if kept > steps:
            yield (
                f"{path}.timestep_respacing is {kept:,}, but models.ddpm.diffusion.steps is {steps:,}; lower it"
            )
        for key in ("start_step", "restart_step", "stop_step"):
            below = kept if key == "start_step" else own.start_step + 1
            if getattr(own, key, 0) >= below:
                yield f"{path}.{key} is {getattr(own, key):,}; choose a step below {below:,}"
        if getattr(own, "dilation", 1) % 2 == 0:
            yield f"{path}.dilation is {own.dilation}; choose an odd number"
