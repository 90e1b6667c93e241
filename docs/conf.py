"""Sphinx configuration of the documentation site: `make docs` builds it with warnings as errors."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "docs")]

from notebook import write_page  # noqa: E402

import counterfactory  # noqa: E402
from counterfactory.cli.reference import reference as cli_reference  # noqa: E402
from counterfactory.config.reference import reference as config_reference  # noqa: E402

project = "counterfactory"
author = "counterfactory authors"
release = version = counterfactory.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "**.ipynb"]
html_theme = "furo"
html_title = "counterfactory"
html_static_path: list[str] = []

# In docstrings a single pair of backticks is code.
default_role = "code"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The reference of the package is made from its docstrings, one page a module.
apidoc_modules = [
    {
        "path": str(ROOT / "src" / "counterfactory"),
        "destination": "reference/api",
        "separate_modules": True,
        "module_first": True,
        "include_private": False,
        "max_depth": 2,
    }
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Names that a package re-exports are documented where they are defined.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
suppress_warnings = ["ref.python"]
autodoc_mock_imports = ["onnx", "onnxscript"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app) -> None:
    """Writes the references of the configuration and of the command line, and the notebook, before pages are read."""
    folder = Path(__file__).parent / "reference"
    write_page(folder.parent / "quickstart.ipynb", folder.parent / "quickstart.md")
    (folder / "config.rst").write_text(config_reference(), encoding="utf-8")
    (folder / "cli.rst").write_text(cli_reference(), encoding="utf-8")
