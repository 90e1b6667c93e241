"""Compiles the kernels (`kernels.cpp`) with the machine's g++ and stores them in the user's cache folder."""

import ctypes
import hashlib
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ....core.cache_folder import cache_folder, check_private_file
from ....core.files import writing

__all__ = ["LANES", "available", "gelu_tables", "kernels"]

LANES = 16
"""The number of images in a vector register."""

FLAGS = [
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
    "-shared",
    "-fPIC",
]


def gelu_tables() -> tuple[np.ndarray, float]:
    r"""Returns piecewise polynomials that approximate the GELU and its derivative.

    :math:`\mathrm{GELU}(x) = \max(x, 0) - U(|x|)` with :math:`U(a) = a\,(1 - \Phi(a))`. The error is below 1e-7, and
    below 4e-7 in the derivative for :math:`|x| > 5.6`, where U and its derivative are taken as constant.

    Returns:
        The coefficients of U and of its derivative on 16 segments, float32 with shape (2, 6, 16), and the width of a
        segment.
    """
    width = 5.6 / 15.5

    def tail(a: float) -> float:
        return 0.5 * math.erfc(a / math.sqrt(2.0))

    def slope(a: float) -> float:
        return tail(a) - a * math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)

    def fit(function: Callable[[float], float], at: int, degree: int) -> np.ndarray:
        values = np.vectorize(lambda t: function(width * (at + t)))
        found = np.polynomial.Chebyshev.interpolate(values, degree, [-0.5, 0.5])
        return found.convert(kind=np.polynomial.Polynomial, domain=[-1, 1]).coef

    tables = np.zeros((2, 6, 16), np.float32)
    for at in range(16):
        # Fitting tail(a) in the first segment keeps the relative error of U = a tail(a) small near zero.
        tables[0, :, at] = fit(lambda a: a * tail(a), at, 5) if at else [0.0, *width * fit(tail, 0, 4)]
        tables[1, :, at] = fit(slope, at, 5)
    return tables, width


@cache
def kernels() -> Any:
    """Returns the compiled kernels, or None if they cannot be compiled on this machine."""
    compiler = shutil.which("g++")
    if compiler is None or platform.machine() != "x86_64":
        return None
    source = Path(__file__).with_name("kernels.cpp")
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
        target = subprocess.run(
            [compiler, "-march=native", "-Q", "--help=target"], capture_output=True, check=True
        ).stdout
        key = hashlib.sha256(source.read_bytes() + version + target + " ".join(FLAGS).encode()).hexdigest()
        library = cache_folder("native") / f"{key[:16]}.so"
        if not library.exists():
            with writing(library) as temporary:
                subprocess.run(
                    [compiler, *FLAGS, "-o", str(temporary), str(source)], capture_output=True, check=True
                )
                os.chmod(temporary, 0o700)  # regardless of the umask
        loaded = ctypes.CDLL(str(check_private_file(library)))
        coefficients, width = gelu_tables()
        loaded.initialise(ctypes.c_void_p(coefficients.ctypes.data), ctypes.c_float(width))
        return loaded
    except (OSError, subprocess.CalledProcessError):
        return None


def available() -> bool:
    """Returns whether the kernels can be used; the first call compiles them."""
    return kernels() is not None
