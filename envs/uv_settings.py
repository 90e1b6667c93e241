"""Prints pip's mirror, proxy and certificate settings as shell assignments of uv's variables.

uv reads neither pip's files nor its variables. Variables that uv already finds in the environment are not changed.
"""

import os
import shlex
import subprocess
import sys

# uv's variable, and pip's setting of the same meaning.
SETTINGS = {
    "UV_DEFAULT_INDEX": "index-url",
    "UV_INDEX": "extra-index-url",
    "UV_FIND_LINKS": "find-links",
    "UV_INSECURE_HOST": "trusted-host",
    "SSL_CERT_FILE": "cert",
    "ALL_PROXY": "proxy",
}


def pip_settings() -> dict[str, str]:
    """Returns pip's settings by name: files and, with precedence, variables PIP_<NAME>."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    settings: dict[str, str] = {}
    # Sections are listed as <section>.<name>='<value>'; `install` overrides `global`, the environment overrides both.
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                settings[key.removeprefix(f"{section}.")] = shlex.split(value)[0] if value else ""
    return settings


def exports() -> list[str]:
    """Returns the lines `export NAME=value`."""
    settings = pip_settings()
    lines = []
    for name, setting in SETTINGS.items():
        values = settings.get(setting, "").replace("\\n", " ").split()
        if values and name not in os.environ:
            lines.append(f"export {name}={shlex.quote(' '.join(values))}")
            if name == "UV_INDEX":
                # As pip does: the pinned version is taken from whichever index has it.
                lines.append("export UV_INDEX_STRATEGY=unsafe-best-match")
    return lines


if __name__ == "__main__":
    print("\n".join(exports()))
