"""Commands that print the configuration, its reference and its JSON schema."""

import argparse
import json
from typing import Any

from ..core.errors import UserError
from .options import OUT, Command, option, path, positional
from .resolve import files_of_config, settings_of

__all__ = ["COMMANDS"]


def _settings(args: argparse.Namespace) -> None:
    import yaml

    _check_options(args)
    if args.syntax:
        from ..config import read_config

        read_config(files_of_config(args))
        return
    if args.reference:
        from ..config import reference

        print(reference(), end="")
        return
    shown: Any = settings_of(args).model_dump(mode="json")
    for key in args.key.split(".") if args.key else []:
        try:
            shown = shown[key]
        except (KeyError, TypeError):
            raise UserError(f"{args.key}: no such key; `counterfactory settings` lists all keys") from None
    if args.commented:
        from ..config import commented_yaml

        print(commented_yaml(settings_of(args), args.key or ""), end="")
        return
    if args.out is not None:
        from ..core.files import write_json

        write_json(args.out, shown)
        return
    print(yaml.safe_dump(shown, sort_keys=False).strip() if isinstance(shown, dict | list) else shown)


def _check_options(args: argparse.Namespace) -> None:
    """Refuses options of which one would be ignored.

    Raises:
        UserError: If two of them ask for different output, or one does not concern a single key or a file.
    """
    forms = [name for name in ("commented", "syntax", "reference") if getattr(args, name)]
    if len(forms) > 1:
        raise UserError(f"--{forms[0]} and --{forms[1]}: choose one")
    if args.key and forms and forms != ["commented"]:
        raise UserError(f"{args.key}: --{forms[0]} concerns all keys; leave out one of the two")
    if args.out is not None and forms:
        raise UserError(
            f"--out writes JSON, and --{forms[0]} prints to the terminal; leave out one of the two"
        )


def _schema(args: argparse.Namespace) -> None:
    from ..config import schema
    from ..core.files import write_text

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    write_text(args.out, text) if args.out else print(text, end="")


COMMANDS = (
    Command(
        "settings",
        _settings,
        "print the resolved configuration: every key, with the defaults filled in",
        (
            positional("key", "print this key only, such as data.train", nargs="?"),
            option(
                "commented", "print it as a YAML file in which every key is explained", action="store_true"
            ),
            option(
                "syntax",
                "print nothing; check only that the files are valid YAML without duplicate keys",
                action="store_true",
            ),
            option(
                "reference",
                "print the reference page of all keys in reStructuredText: type, range, default, meaning",
                action="store_true",
            ),
            path("out", "write it as JSON to this file instead"),
        ),
        example="counterfactory settings models.hvae --config config.yaml workflow/presets/smoke.yaml",
    ),
    Command(
        "schema",
        _schema,
        "write the JSON schema of the configuration, for editors",
        (OUT,),
        example="counterfactory schema --out workflow/schemas/config.schema.json",
    ),
)
