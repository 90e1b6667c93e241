"""What the words after a command stand for: its settings, its paths, its device.

What is not given is taken from the configuration, or is the workflow's own, under `<results>/<dataset>/`.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError

if TYPE_CHECKING:
    from ..config import Settings

__all__ = ["device_of", "files_of", "path_of", "section_of", "settings_of"]


def settings_of(args: argparse.Namespace) -> "Settings":
    """Returns the whole configuration, read once a command."""
    from ..config import load_settings, read_config

    if not hasattr(args, "whole"):
        args.whole = load_settings(read_config(args.config or [Path("config.yaml")]))
    return args.whole


def section_of(args: argparse.Namespace, path: str, option: str = "settings") -> Any:
    """Returns the settings of one section, from --settings (or another option) if given, else from --config."""
    from ..config import load_section

    text = getattr(args, option)
    if text is None:
        section: Any = settings_of(args)
        for key in path.split("."):
            section = getattr(section, key)
        return section
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"--{option}: not valid JSON ({error})") from None
    if not isinstance(given, dict):
        raise UserError(f'--{option}: must hold keys and values, such as {{"seed": 0}}')
    return load_section(path, given)


def path_of(args: argparse.Namespace, name: str, default: str) -> Path:
    """Returns the path given as option `name`, or `default` under the results of the data set."""
    given = getattr(args, name)
    return given if given is not None else _results(args) / default


def files_of(args: argparse.Namespace, name: str, pattern: str) -> list[Path]:
    """Returns the files given as option `name`, or those that match `pattern` under the results of the data set."""
    given = getattr(args, name)
    return given if given is not None else sorted(_results(args).glob(pattern))


def device_of(args: argparse.Namespace) -> str:
    """Returns where networks run, as the option or the configuration says: auto, cpu or cuda."""
    return args.device or settings_of(args).device


def _results(args: argparse.Namespace) -> Path:
    settings = settings_of(args)
    return Path(settings.results, settings.dataset)
