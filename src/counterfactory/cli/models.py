"""The commands that train models and fetch pretrained weights."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module

from ..core.errors import MissingWeights, UserError
from ..core.names import shortened, unknown_name
from ..core.run import Run
from ..models.registry import MODELS, Model, section_of, split_name
from .options import ATTRIBUTES, DATA, DEVICE, OUT, SEED, SETTINGS, Command, number, option, path, positional
from .resolve import device_of, path_of, settings_of
from .resolve import section_of as settings_section

__all__ = ["COMMANDS", "registered_model"]

_WEIGHTS = ("lpips", "inception", "vgg19", "identity")


def registered_model(name: str) -> Model:
    """Returns the registered model of a training such as `vae` or `judges/thickness`."""
    name, variable = split_name(name)
    if name not in MODELS:
        raise unknown_name(name, "no such model", MODELS)
    model = MODELS[name]
    if model.per_variable and not variable:
        raise UserError(f"{name}: is trained for each variable; name one, such as {name}/thickness")
    if variable and not model.per_variable:
        raise UserError(f"{name}/{variable}: {name} is not trained for each variable; write {name}")
    return model


@contextmanager
def _time_slice(minutes: float | None) -> Iterator[None]:
    """Limits the trainings of this process, and of those that it starts, to some minutes from now."""
    from ..training.clock import UNTIL  # imports PyTorch

    before = os.environ.get(UNTIL)
    if minutes is not None:
        os.environ[UNTIL] = str(time.time() + 60 * minutes)
    try:
        yield
    finally:
        os.environ.pop(UNTIL, None)
        if before is not None:
            os.environ[UNTIL] = before


def _train(args: argparse.Namespace) -> None:
    model = registered_model(args.model)
    settings = settings_section(args, section_of(split_name(args.model)[0]))
    attributes = settings_section(args, "attributes", "attributes") if model.attributes else None
    run = Run(
        args.model,
        data=path_of(args, "data", "data"),
        models=path_of(args, "models", "models"),
        out=path_of(args, "out", f"models/{args.model}" + (f"/seed{args.seed}" if model.seeded else "")),
        seed=args.seed,
        device=device_of(args),
        attributes=attributes,
    )
    # Imported after the settings are checked: importing PyTorch takes seconds.
    module, function = model.train.split(":")
    train = getattr(import_module(f"counterfactory.{module}"), function)
    with _time_slice(args.minutes):
        train(settings, run)


def _landmarks(text: str) -> list[tuple[float, float]]:
    """Returns the points (x, y) of a list x1,y1,x2,y2,...

    Raises:
        UserError: If it is no such list.
    """
    try:
        numbers = [float(number) for number in text.split(",")]
        return list(zip(numbers[0::2], numbers[1::2], strict=True))
    except ValueError:
        raise UserError(f"--landmarks {shortened(text)}: write pairs of numbers, x1,y1,x2,y2,...") from None


def _weights(args: argparse.Namespace) -> None:
    folder = args.network
    if args.network == "inception":
        from ..pretrained.inception import fetch_inception as fetch

        source = args.source or settings_of(args).scores.fid.weights
    elif args.network == "vgg19":
        from ..pretrained.vgg19 import fetch_vgg19 as fetch

        source = args.source or settings_of(args).answers.vgg19_weights
    elif args.network == "identity":
        from ..pretrained.identity import fetch_identity

        landmarks = None
        if args.landmarks:
            landmarks = _landmarks(args.landmarks)
        fetch = partial(
            fetch_identity, args.net or settings_of(args).identity.network.name, landmarks=landmarks
        )
        source = args.source or settings_of(args).identity.network.weights
    else:
        from ..pretrained.lpips import fetch_lpips

        net = args.net or settings_of(args).scores.lpips.net
        fetch, folder = partial(fetch_lpips, net), f"lpips/{net}"
        source = args.source or settings_of(args).scores.lpips.weights
    out = path_of(args, "out", f"models/{folder}")
    try:
        fetch(source, out)
    except MissingWeights as error:
        if not args.optional:
            raise
        from ..core.checkpoint import save_missing

        print(f"weights {args.network}: {error}; steps that require them are skipped", file=sys.stderr)
        save_missing(out, args.network, str(error))


MINUTES = option(
    "minutes",
    "save the state and stop with exit status 75 after this time; the same command resumes (default: no limit)",
    type=number,
    metavar="M",
)

COMMANDS = (
    Command(
        "train",
        _train,
        "train a model",
        (
            positional(
                "model",
                f"the model: {', '.join(MODELS)}; for judges and predictors add the variable, such as judges/thickness",
            ),
            SETTINGS,
            ATTRIBUTES,
            SEED,
            DATA,
            path("models", "folder of all models (default: <results>/<dataset>/models)"),
            OUT,
            DEVICE,
            MINUTES,
        ),
        example="counterfactory train judges/thickness --config config.yaml",
    ),
    Command(
        "weights",
        _weights,
        "fetch the weights of a published network",
        (
            positional(
                "network",
                "the network: lpips (default), inception, vgg19 or identity",
                nargs="?",
                choices=_WEIGHTS,
                default="lpips",
            ),
            option(
                "net",
                "the trunk of LPIPS (see scores.lpips.net), or the identity network (see identity.network.name)",
            ),
            option(
                "landmarks",
                "identity: x,y of eyes, nose and corners of the mouth (see identity.network.landmarks)",
                metavar="X,Y,...",
            ),
            option(
                "source",
                "a download or a file (see the keys `weights` and `vgg19_weights` of the configuration)",
            ),
            option(
                "optional",
                "if the weights file is missing, record that and exit with status 0; steps that require it are skipped",
                action="store_true",
            ),
            OUT,
        ),
        example="counterfactory weights inception --source auto",
    ),
)
"""The commands of this module."""
