"""Checking a configuration imports neither numpy nor torch, because every plan of the workflow does it."""

import subprocess
import sys


def test_the_configuration_imports_nothing_heavy():
    heavy = ("numpy", "torch", "pandas", "numba")
    imports = "import sys, counterfactory.config, counterfactory.pretrained.sources"
    code = f"{imports}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
