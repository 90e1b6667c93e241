"""Runs the command line: `python -m counterfactory`."""

import sys

from .cli import main

sys.exit(main())
