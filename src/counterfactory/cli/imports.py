"""The command that imports published or own weights in place of a training."""

import argparse
from typing import Any

from ..core.errors import UserError
from ..core.run import Run
from .models import registered_model
from .options import ATTRIBUTES, DATA, DEVICE, OUT, SEED, Command, option, positional
from .resolve import device_of, json_of, path_of
from .resolve import section_of as settings_section

__all__ = ["COMMANDS"]


def _import(args: argparse.Namespace) -> None:
    model = registered_model(args.model)
    attributes = settings_section(args, "attributes", "attributes") if model.attributes else None
    options = json_of(args.options, "options") if args.options is not None else {}
    options |= dict(_parsed(one) for one in args.option)
    run = Run(
        args.model,
        data=path_of(args, "data", "data"),
        models=path_of(args, "out", "models"),
        out=path_of(args, "out", f"models/{args.model}" + (f"/seed{args.seed}" if model.seeded else "")),
        seed=args.seed,
        device=device_of(args),
        attributes=attributes,
    )
    # Imported after the options are checked: importing PyTorch takes seconds.
    from ..models.imports import import_model

    meta = import_model(args.source, options, run)
    origin = meta["imported"]
    print(f"{args.model}: imported {origin['file']} (SHA-256 {origin['sha256'][:16]}...) to {run.out}")


def _parsed(text: str) -> tuple[str, Any]:
    """Returns name and value of an option such as `num_heads=4`, `use_new_attention_order=false`."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UserError(f"--option {text}: write NAME=VALUE, such as num_heads=4")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        return name, int(value)
    except ValueError:
        pass
    try:
        return name, float(value)
    except ValueError:
        return name, value


COMMANDS = (
    Command(
        "import",
        _import,
        "import published or own weights in place of a training",
        (
            positional(
                "source",
                "the file: a checkpoint of PyTorch, a safetensors file, or for a classifier an ONNX file",
            ),
            option(
                "as",
                "the model it becomes: vae, hvae, ddpm, classifier, oracle, or judges and predictors with their "
                "variable, such as judges/thickness",
                dest="model",
                required=True,
                metavar="MODEL",
            ),
            option(
                "option",
                "what the file cannot say, such as num_heads=4; may be repeated. ddpm: num_heads or num_head_channels, "
                "use_new_attention_order, diffusion_steps, noise_schedule, predict_xstart, label; vae, hvae: "
                "parents_x, enc_arch, dec_arch, unless the file holds causal-gen's settings; judges: network, context, "
                "low, high; classifier, oracle: architecture, outputs, pixels, size",
                action="append",
                default=[],
                metavar="NAME=VALUE",
            ),
            option("options", "all these options, as JSON or a file of JSON", metavar="JSON"),
            ATTRIBUTES,
            SEED,
            DATA,
            OUT,
            DEVICE,
        ),
        example="counterfactory import checkpoint.pt --as hvae",
        stage="models",
    ),
)
"""The commands of this module."""
