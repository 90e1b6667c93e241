"""Commands that fit, train and fetch models."""

import argparse
import os
import sys
import time
from functools import partial

from ..core.errors import MissingWeights, UserError
from .options import ATTRIBUTES, DATA, DEVICE, OUT, SEED, SETTINGS, Command, option, path, positional
from .resolve import device_of, path_of, section_of, settings_of

__all__ = ["COMMANDS"]

_WEIGHTS = ("lpips", "inception", "vgg19", "identity")


def _fit_parents(args: argparse.Namespace) -> None:
    from ..scm.fit import fit_scm

    out = path_of(args, "out", f"models/scm/seed{args.seed}")
    fit_scm(section_of(args, "scm"), path_of(args, "data", "data"), out, args.seed)


def _train_judge(args: argparse.Namespace) -> None:
    from ..models.judges.train import train_judge

    out = path_of(args, "out", f"models/judges/{args.variable}")
    data, device = path_of(args, "data", "data"), device_of(args)
    train_judge(section_of(args, "judges"), args.variable, data, out, device)


def _train_predictor(args: argparse.Namespace) -> None:
    from ..models.judges.train import train_judge

    out = path_of(args, "out", f"models/predictors/{args.variable}")
    data, device = path_of(args, "data", "data"), device_of(args)
    train_judge(section_of(args, "judges"), args.variable, data, out, device, split="train")


def _finetune(args: argparse.Namespace) -> None:
    settings = section_of(args, f"models.{args.base}_ft")
    seed = f"seed{args.seed}"
    folders = {
        "data": path_of(args, "data", "data"),
        "start": path_of(args, "start", f"models/{args.base}/{seed}"),
        "parents": path_of(args, "scm", f"models/scm/{seed}"),
        "predictors": path_of(args, "predictors", "models/predictors"),
        "out": path_of(args, "out", f"models/{args.base}_ft/{seed}"),
    }
    device = device_of(args)
    from ..models.image.finetune import finetune

    finetune(settings.training, **folders, seed=args.seed, device=device)


def _train(args: argparse.Namespace) -> None:
    if args.minutes is not None:
        os.environ["COUNTERFACTORY_TRAIN_UNTIL"] = str(time.time() + 60 * args.minutes)
    from ..config import ModelsSettings

    known = [name for name in ModelsSettings.model_fields if not name.endswith("_ft")]
    if args.model not in known:
        raise UserError(f"{args.model}: no such image model; choose from {', '.join(known)}")
    settings = section_of(args, f"models.{args.model}")
    out = path_of(args, "out", f"models/{args.model}/seed{args.seed}")
    data, device = path_of(args, "data", "data"), device_of(args)
    # Only now, because it takes seconds: a mistake in the settings is told at once.
    if args.model == "classifier":
        from ..models.classifier.train import train_classifier

        attributes = section_of(args, "attributes", "attributes")
        train_classifier("classifier", settings, attributes, data, out, device, args.seed)
        return
    if args.model == "causaldiffae":
        from ..models.causaldiffae.train import train_causaldiffae

        train_causaldiffae(settings, data, out, args.seed, device)
        return
    if args.model == "ddpm":
        from ..models.ddpm.train import train_ddpm

        train_ddpm(settings, data, out, args.seed, device)
        return
    if args.model in ("gan", "dcgan"):
        from ..models.gan.train import train_gan

        train_gan(args.model, settings, data, out, args.seed, device)
        return
    from ..models.image.train import train_image_mechanism

    train_image_mechanism(args.model, settings, data, out, args.seed, device)


def _train_oracle(args: argparse.Namespace) -> None:
    settings, attributes = section_of(args, "oracle"), section_of(args, "attributes", "attributes")
    data, out, device = path_of(args, "data", "data"), path_of(args, "out", "models/oracle"), device_of(args)
    from ..models.classifier.train import train_classifier

    train_classifier("oracle", settings, attributes, data, out, device)


def _train_identity(args: argparse.Namespace) -> None:
    settings = section_of(args, "identity")
    data, out, device = (
        path_of(args, "data", "data"),
        path_of(args, "out", "models/identity"),
        device_of(args),
    )
    from ..models.identity.train import train_identity

    train_identity(settings, data, out, device)


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

        fetch = partial(fetch_identity, args.net or settings_of(args).identity.network.name)
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

        print(f"weights {args.network}: {error}; what asks for them goes without", file=sys.stderr)
        save_missing(out, args.network, str(error))


MINUTES = option(
    "minutes",
    "stop after so long with status 75, to be called again; default: never",
    type=float,
    metavar="M",
)

COMMANDS = (
    Command(
        "fit-scm",
        _fit_parents,
        "fit the mechanisms of the parents",
        (SETTINGS, SEED, DATA, OUT),
    ),
    Command(
        "train-judge",
        _train_judge,
        "train the predictor of one variable",
        (positional("variable", "the variable to predict"), SETTINGS, DATA, OUT, DEVICE),
    ),
    Command(
        "train-predictor",
        _train_predictor,
        "train the predictor of one variable that models are fine-tuned by",
        (positional("variable", "the variable to predict"), SETTINGS, DATA, OUT, DEVICE),
    ),
    Command(
        "finetune",
        _finetune,
        "fine-tune an image model on counterfactuals",
        (
            positional("base", "the model to start from", choices=("vae", "hvae")),
            SETTINGS,
            SEED,
            DATA,
            path("start", "folder of the trained model"),
            path("scm", "folder of the mechanisms of the parents"),
            path("predictors", "folder of the predictors"),
            OUT,
            DEVICE,
        ),
    ),
    Command(
        "train",
        _train,
        "train an image model, or the classifier that explanations explain",
        (
            positional("model", "vae, hvae, ddpm, gan, dcgan or classifier"),
            SETTINGS,
            ATTRIBUTES,
            SEED,
            DATA,
            OUT,
            DEVICE,
            MINUTES,
        ),
    ),
    Command(
        "train-oracle",
        _train_oracle,
        "train the network that counts which attributes an explanation changed",
        (SETTINGS, ATTRIBUTES, DATA, OUT, DEVICE),
    ),
    Command(
        "train-identity",
        _train_identity,
        "train the embedding that says whether an explanation still shows the same hand",
        (SETTINGS, DATA, OUT, DEVICE),
    ),
    Command(
        "weights",
        _weights,
        "fetch the weights of a network that others trained",
        (
            positional(
                "network",
                "lpips (default), inception, vgg19 or identity",
                nargs="?",
                choices=_WEIGHTS,
                default="lpips",
            ),
            option(
                "net",
                "the trunk of LPIPS (see scores.lpips.net), or which identity (see identity.network.name)",
            ),
            option(
                "source",
                "a download or a file; see the keys `weights` of the configuration, or vgg19_weights",
            ),
            option(
                "optional",
                "where a file of weights is missing, write down just that, for what asks for them to go without",
                action="store_true",
            ),
            OUT,
        ),
    ),
)
