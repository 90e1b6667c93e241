"""Checks whether the sizes and trainings of the models agree with the images, the data and each other.

Only models, networks and metrics that the configuration uses are checked.
"""

from collections.abc import Iterator
from itertools import pairwise

from ..methods.registry import METHODS
from ..metrics.registry import METRICS
from ..models.image.limits import MOST_COVARIANCES, MOST_TRANSPORTED, count_latents, joint_classes
from ..nets.unet_sizes import check_sizes
from ..questions.registry import SUITES
from .error_messages import shown
from .explainers import EXPLAINERS
from .imported import import_errors, imports_of
from .settings import Settings
from .training import ImageTrainingSettings, TrainingSettings

__all__ = ["model_errors", "used_models", "used_networks"]

LEAST_LOG_SCALE = -0.9
"""At this log scale, a pixel that is white instead of black has 15 nats; the capped likelihood is flat from 17 nats."""


def model_errors(settings: Settings) -> Iterator[str]:
    """Yields one line for each contradiction, with the keys and the remedy."""
    yield from import_errors(settings, list(settings.entry.classes))
    yield from _trainings(settings)
    yield from _identity(settings)
    yield from _halvings(settings)
    yield from _vae(settings)
    yield from _capped(settings)
    yield from _exogenous(settings)
    yield from _transport(settings)
    yield from _hvae(settings)
    yield from _denoisers(settings)
    yield from _exposure(settings)
    yield from _levels(settings)
    yield from _gan(settings)
    yield from _effect(settings)
    yield from _explainers(settings)
    yield from _alexnet(settings)
    yield from _fid(settings)


def used_models(settings: Settings) -> list[str]:
    """Returns the models that the chosen methods use."""
    return sorted({model for method in settings.methods for model in METHODS[method].models})


def _trained(settings: Settings) -> list[str]:
    """Returns the used models that are trained here, not imported."""
    return [name for name in used_models(settings) if name not in imports_of(settings)]


def _image_mechanisms(settings: Settings) -> list[str]:
    """Returns the image mechanisms that are trained here, also as the start of a fine-tuned one."""
    return [name for name in ("vae", "hvae") if {name, f"{name}_ft"} & set(_trained(settings))]


def used_networks(settings: Settings) -> set[str]:
    """Returns the networks that the chosen metrics use: classifier, oracle, identity, pretrained ones."""
    suites = {suite for suite in SUITES if settings.questions.count(suite, settings.entry)}
    used = [METRICS[name] for name in settings.scores.metrics if set(METRICS[name].suites) & suites]
    return {model for metric in used for model in metric.models}


def _trainings(settings: Settings) -> Iterator[str]:
    for path, (training, split) in _used_trainings(settings).items():
        count = size = getattr(settings.data, split)
        if path in ("judges", "oracle"):  # a part of the split selects the weights
            share = getattr(settings, path).held_out
            size -= min(max(1, round(share * count)), count - 1)
        if training.batch_size > size:
            part = f", of which {size:,} train" if size < count else ""
            yield (
                f"{path}.training.batch_size is {training.batch_size:,}, but data.{split} has only {count:,} images"
                f"{part}; lower it"
            )
        if isinstance(training, ImageTrainingSettings) and training.scale_release < training.scale_hold:
            yield (
                f"{path}.training.scale_release is {training.scale_release:g}; it must be at least scale_hold, "
                f"{training.scale_hold:g}"
            )


def _used_trainings(settings: Settings) -> dict[str, tuple[TrainingSettings, str]]:
    """Returns the training and the split of each section that trains a network."""
    found: dict[str, tuple[TrainingSettings, str]] = {"judges": (settings.judges.training, "judges")}
    for name in _trained(settings):
        found[f"models.{name}"] = (getattr(settings.models, name).training, "train")
    trained = ["oracle"] + (["identity"] if settings.identity.network.name == "trained" else [])
    for name in trained:
        if name in used_networks(settings) and name not in imports_of(settings):
            found[name] = (getattr(settings, name).training, "judges")
    return found


def _identity(settings: Settings) -> Iterator[str]:
    network = settings.identity.network
    if "identity" not in used_networks(settings):
        return
    if network.name == "vggface2_resnet50" and network.weights == "package":
        yield (
            "identity.network.weights is 'package', but no package contains vggface2_resnet50; name its file, "
            "resnet50_ft_weight.pkl"
        )


def _halvings(settings: Settings) -> Iterator[str]:
    size, networks = settings.data.image_size, used_networks(settings)
    found = {}
    given = imports_of(settings)
    if "classifier" in {*_trained(settings), *networks} and "classifier" not in given:
        found["models.classifier"] = settings.models.classifier.network
    if "oracle" in networks and "oracle" not in given:
        found["oracle"] = settings.oracle.network
    if "identity" in networks and settings.identity.network.name == "trained":
        found["identity"] = settings.identity.network
    for path, network in found.items():
        if size >> network.halvings == 0:
            yield (
                f"{path}.network.halvings is {network.halvings}, but images of {size} px can be halved "
                f"{size.bit_length() - 1} times; lower it"
            )


def _hvae(settings: Settings) -> Iterator[str]:
    if "hvae" not in _image_mechanisms(settings):
        return
    network, size = settings.models.hvae.network, settings.data.image_size
    path = "models.hvae.network"
    for name in ("widths", "encoder_blocks", "decoder_blocks", "latents"):
        length = len(getattr(network, name))
        if length != len(network.resolutions):
            yield (
                f"{path}.{name} has {length} entries, but {path}.resolutions has {len(network.resolutions)}; give one "
                "for each resolution"
            )
    if network.resolutions[0] * network.patch != size:
        yield (
            f"{path}.resolutions[0] is {network.resolutions[0]}, but data.image_size / patch is "
            f"{size / network.patch:g}; make them equal"
        )
    for finer, coarser in pairwise(network.resolutions):
        if coarser >= finer or finer // (finer // coarser) != coarser:
            yield f"{path}.resolutions: maps of {finer} px cannot be pooled to {coarser} px; choose a divisor"
    if not any(network.latents):
        yield f"{path}.latents are all 0; give one resolution at least one latent"


def _vae(settings: Settings) -> Iterator[str]:
    side = 8 * settings.models.vae.network.patch
    if "vae" in _image_mechanisms(settings) and settings.data.image_size % side:
        yield (
            f"models.vae.network.patch is {settings.models.vae.network.patch}, but data.image_size is "
            f"{settings.data.image_size}, no multiple of 8 x patch; change one of them"
        )


def _capped(settings: Settings) -> Iterator[str]:
    """Checks that a capped likelihood starts from a scale at which pixels have a gradient."""
    for name in _image_mechanisms(settings):
        model = getattr(settings.models, name)
        if model.training.likelihood == "capped" and model.network.log_scale < LEAST_LOG_SCALE:
            yield (
                f"models.{name}.training.likelihood is 'capped', but models.{name}.network.log_scale is "
                f"{model.network.log_scale:g}, at which pixels far from their prediction have no gradient; set "
                f"log_scale to at least {LEAST_LOG_SCALE:g} (published: 0), or likelihood: exact"
            )


def _exogenous(settings: Settings) -> Iterator[str]:
    """Checks that latents that are centred, transported or corrected for their bias have an exogenous prior."""
    for name in _image_mechanisms(settings):
        network = getattr(settings.models, name).network
        if network.prior == "exogenous":
            continue
        path = f"models.{name}.network"
        for key in ("centred", "transport", "debias"):
            if value := getattr(network, key):
                shown = "true" if value is True else f"{value:g}"
                yield f"{path}.{key} is {shown}, which requires {path}.prior: exogenous; change one of them"


def _transport(settings: Settings) -> Iterator[str]:
    """Checks that a transport of latents has few latents, as it requires."""
    for name in _image_mechanisms(settings):
        network = getattr(settings.models, name).network
        if not network.transport:
            continue
        path = f"models.{name}.network"
        latents = count_latents(network.model_dump())
        if latents > MOST_TRANSPORTED:
            yield (
                f"{path}.transport is true, but an image has {latents:,} latents; at most {MOST_TRANSPORTED:,} are "
                "possible"
            )
            continue
        joint = joint_classes(settings.entry.classes)
        if joint * latents**2 > MOST_COVARIANCES:
            yield (
                f"{path}.transport is true, but the {joint:,} joint classes of {settings.dataset} have covariances of "
                f"{latents:,} latents, {joint * latents**2:,} numbers; at most {MOST_COVARIANCES:,} are possible: set "
                "fewer latents, or transport: false"
            )


def _denoisers(settings: Settings) -> Iterator[str]:
    for name in [name for name in ("ddpm", "causaldiffae") if name in _trained(settings)]:
        network = getattr(settings.models, name).network
        keys = ("width", "multipliers", "attention", "heads", "patch", "groups")
        try:
            check_sizes(settings.data.image_size, **{key: getattr(network, key) for key in keys})
        except ValueError as error:
            yield f"models.{name}.network.{error}"


def _exposure(settings: Settings) -> Iterator[str]:
    known = settings.entry.classes
    # A fine-tuned model has the network of the model that it starts from.
    for name in sorted({name.removesuffix("_ft") for name in _trained(settings)}):
        for variable in getattr(getattr(getattr(settings.models, name), "network", None), "exposure", ()):
            if variable not in known:
                yield (
                    f"models.{name}.network.exposure contains {shown(variable)}, which is no variable of "
                    f"{settings.dataset}; set [], or choose from {', '.join(known)}"
                )


def _levels(settings: Settings) -> Iterator[str]:
    """Checks that levels have a variable that acts as exposure, and that a calibration has levels and a simulation."""
    for name in _image_mechanisms(settings):
        network, path = getattr(settings.models, name).network, f"models.{name}.network"
        if network.levels and not network.exposure:
            yield f"{path}.levels is true, which requires a variable in {path}.exposure; name one, or set levels: false"
        if network.calibrate and not network.levels:
            yield f"{path}.calibrate is true, which requires {path}.levels: true; set both, or calibrate: false"
        if network.calibrate and not settings.entry.simulated:
            yield (
                f"{path}.calibrate is true, but {settings.dataset} is not simulated, so its images cannot be measured; "
                "set calibrate: false"
            )


def _gan(settings: Settings) -> Iterator[str]:
    size = settings.data.image_size
    for name in [name for name in ("gan", "dcgan") if name in _trained(settings)]:
        widths = getattr(settings.models, name).network.widths
        if size % (1 << min(len(widths), 20)):
            yield (
                f"models.{name}.network.widths has {len(widths)} entries, but images of {size} px cannot be halved "
                "as often; give fewer"
            )


def _effect(settings: Settings) -> Iterator[str]:
    effect = settings.answers.effect
    bases = sorted({name.removesuffix("_ft") for name in _trained(settings)})
    for name in bases if effect != "direct" else []:
        if getattr(getattr(settings.models, name).network, "prior", None) == "exogenous":
            yield (
                f"answers.effect is {effect!r}, which requires models.{name}.network.prior: conditional; "
                "set that, or effect: direct"
            )


def _explainers(settings: Settings) -> Iterator[str]:
    ddpm = settings.models.ddpm
    steps, source = ddpm.diffusion.steps, "models.ddpm.diffusion.steps"
    if "ddpm" in imports_of(settings) and isinstance(ddpm.options.get("diffusion_steps"), int):
        steps, source = int(str(ddpm.options["diffusion_steps"])), "models.ddpm.options.diffusion_steps"
    for name in [name for name in EXPLAINERS if name in settings.methods]:
        own, path = getattr(settings.answers, name), f"answers.{name}"
        kept = own.timestep_respacing or steps
        if kept > steps:
            yield (f"{path}.timestep_respacing is {kept:,}, but {source} is {steps:,}; lower it")
        for key in ("start_step", "restart_step", "stop_step"):
            limit = kept if key == "start_step" else own.start_step + 1
            if getattr(own, key, 0) >= limit:
                reason = "timestep_respacing" if key == "start_step" else "start_step + 1"
                yield f"{path}.{key} is {getattr(own, key):,}; choose a step below {limit:,} ({reason})"


def _alexnet(settings: Settings) -> Iterator[str]:
    size = settings.data.image_size
    if size >= 32:
        return
    if "lpips" in used_networks(settings) and settings.scores.lpips.net == "alex":
        yield f"scores.lpips.net is 'alex', which requires images of 32 px or more, not {size}; set vgg"
    for name in [name for name in EXPLAINERS if name in settings.methods]:
        if getattr(settings.answers, name).perceptual == "lpips_alex":
            yield (
                f"answers.{name}.perceptual is 'lpips_alex', which requires images of 32 px or more, not {size}; "
                "set lpips_vgg"
            )


def _fid(settings: Settings) -> Iterator[str]:
    fid = settings.scores.fid
    if "inception" in used_networks(settings) and fid.least > fid.images:
        yield (
            f"scores.fid.least is {fid.least:,}, but scores.fid.images is {fid.images:,}, so that there would never be "
            "a score; lower the first or raise the second"
        )
