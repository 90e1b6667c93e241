"""Commands that show the configuration itself."""

import argparse
import json
from typing import Any

from ..core.errors import UserError
from .options import OUT, Command, option, positional
from .resolve import settings_of

__all__ = ["COMMANDS"]


def _show(args: argparse.Namespace) -> None:
    import yaml

    if args.commented:
        from ..config import commented_yaml

        print(commented_yaml(settings_of(args)), end="")
        return
    shown: Any = settings_of(args).model_dump(mode="json")
    for key in args.key.split(".") if args.key else []:
        try:
            shown = shown[key]
        except (KeyError, TypeError):
            raise UserError(f"{args.key}: no such key") from None
    print(yaml.safe_dump(shown, sort_keys=False).strip() if isinstance(shown, dict | list) else shown)


def _schema(args: argparse.Namespace) -> None:
    from ..config import schema
    from ..core.files import write_text

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    write_text(args.out, text) if args.out else print(text, end="")


COMMANDS = (
    Command(
        "settings",
        _show,
        "print the configuration, defaults filled in",
        (
            positional("key", "only this key, such as data.train", nargs="?"),
            option("commented", "as a file to edit, every key explained", action="store_true"),
        ),
    ),
    Command("schema", _schema, "print the JSON schema of the configuration", (OUT,)),
)
