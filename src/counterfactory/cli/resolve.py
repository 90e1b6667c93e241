"""Resolves the options of a command: its settings, paths and device.

An option that is not given is taken from the configuration, or is the path that the workflow uses, below
`<results>/<dataset>/`.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..core.names import unknown_name
from ..questions.registry import SUITES, Suite

if TYPE_CHECKING:
    from ..config import Settings

__all__ = [
    "device_of",
    "files_of",
    "files_of_config",
    "json_of",
    "path_of",
    "section_of",
    "settings_of",
    "suite_of",
]


def settings_of(args: argparse.Namespace) -> "Settings":
    """Returns the whole configuration, from the files of `--config` or, if there are none, from `config.yaml`."""
    from ..config import load_settings, read_config

    if not hasattr(args, "whole"):
        args.whole = load_settings(read_config(files_of_config(args)))
    return args.whole


def files_of_config(args: argparse.Namespace) -> list[Path]:
    """Returns the files of `--config` or, if there are none, `config.yaml` if it exists."""
    return args.config or ([Path("config.yaml")] if Path("config.yaml").exists() else [])


def section_of(args: argparse.Namespace, path: str, option: str = "settings") -> Any:
    """Returns one section of the settings.

    Arguments:
        args: The parsed arguments.
        path: The section, such as `models.hvae`.
        option: The option that contains it: JSON, or a file of JSON. Without it, the section of `--config` is returned.

    Raises:
        UserError: If the option is no valid section.
    """
    from ..config import load_section

    given = getattr(args, option)
    if given is None:
        section: Any = settings_of(args)
        for key in path.split("."):
            section = getattr(section, key)
        return section
    return load_section(path, json_of(given, option))


def json_of(given: str, option: str) -> dict[str, Any]:
    """Returns the mapping that an option contains: JSON itself, or the path of a file of JSON."""
    text, source = given, f"--{option}"
    if not given.lstrip().startswith(("{", "[")):
        if given.splitlines() != [given]:
            raise UserError(f"--{option}: contains a line break; rename the file")
        source = f"--{option} {given}"
        try:
            text = Path(given).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{source}: no such file") from None
        except UnicodeDecodeError:
            raise UserError(f"{source}: not a text file in UTF-8") from None
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"{source}: not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise UserError(f'{source}: must contain keys and values, such as {{"seed": 0}}')
    return values


def path_of(args: argparse.Namespace, name: str, default: str) -> Path:
    """Returns the path given by the option `name`, or `default` below the results of the data set."""
    given = getattr(args, name)
    return given if given is not None else _results(args) / default


def files_of(args: argparse.Namespace, name: str, pattern: str) -> list[Path]:
    """Returns the files given by the option `name`, or those below the results that match `pattern`."""
    given = getattr(args, name)
    return given if given is not None else sorted(_results(args).glob(pattern))


def suite_of(args: argparse.Namespace) -> Suite:
    """Returns the suite of questions that the argument `suite` names.

    Raises:
        UserError: If there is no such suite.
    """
    if args.suite not in SUITES:
        raise unknown_name(args.suite, "no such suite", SUITES)
    return SUITES[args.suite]


def device_of(args: argparse.Namespace) -> str:
    """Returns the device given by the option or the configuration: auto, cpu or cuda."""
    return args.device or settings_of(args).device


def _results(args: argparse.Namespace) -> Path:
    settings = settings_of(args)
    return Path(settings.results, settings.dataset)
