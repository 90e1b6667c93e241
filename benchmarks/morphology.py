"""Measures how many images are rendered and measured per second and core, and compares the rates with published code.

    python benchmarks/morphology.py --digits results/morphomnist/data/digits

Rates are per second of CPU time of this process, so that they hardly depend on the load of the machine (which still
affects caches and memory). The reference rates are those of the published generator and measurement with scikit-image
0.26. Because machines differ, the part of the published measurement that takes nearly all of its time (upscaling and
the medial axis) is timed in the same run with the installed scikit-image, alternating with the whole measurement of
this package.
"""

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from skimage.morphology import medial_axis
from skimage.transform import pyramid_expand

from counterfactory.data.morphology import measure, render
from counterfactory.data.processes import INTENSITY
from counterfactory.data.sources import load_digits


def main() -> None:
    """Prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", type=Path, help="folder that contains images.npy (default: fetch MNIST)")
    parser.add_argument("--images", type=int, default=500, help="images per round (default: 500)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds, of which the median is printed (default: 5)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="*",
        default=[2],
        help="numbers of threads for wall-clock rates",
    )
    parser.add_argument(
        "--reference-render", type=float, default=13.9, help="published generator, images/s/core"
    )
    parser.add_argument(
        "--reference-measure", type=float, default=57.0, help="published measurement, images/s/core"
    )
    args = parser.parse_args()

    digits = np.load(args.digits / "images.npy") if args.digits else load_digits("auto").images
    digits = digits[60_000 : 60_000 + args.images]
    parents = INTENSITY.sample(len(digits), 0)
    thickness, intensity = parents["thickness"].to_numpy(), parents["intensity"].to_numpy()

    began, cpu = time.perf_counter(), time.process_time()
    measure(digits[:2])
    render(digits[:2], thickness[:2], intensity[:2])
    print(
        f"first call (compiled, or loaded from the cache): {time.process_time() - cpu:.1f} s of CPU time, "
        f"{time.perf_counter() - began:.1f} s of wall-clock time"
    )

    few = digits[: max(1, len(digits) // 25)]
    rates: dict[str, list[float]] = {"render": [], "measure": [], "scikit-image": []}
    for _ in range(args.rounds):
        rates["render"].append(_rate(lambda: render(digits, thickness, intensity), len(digits)))
        rates["measure"].append(_rate(lambda: measure(digits), len(digits)))
        rates["scikit-image"].append(_rate(lambda: [_measure_thickness(digit) for digit in few], len(few)))
    ratios = [ours / theirs for ours, theirs in zip(rates["measure"], rates["scikit-image"], strict=True)]
    for name, reference in (("render", args.reference_render), ("measure", args.reference_measure)):
        rate = median(rates[name])
        spread = f"{min(rates[name]):.0f}-{max(rates[name]):.0f}"
        print(f"{name}: {rate:.0f} images/s/core ({spread}), {rate / reference:.1f} times {reference:g}")
    print(
        f"scikit-image {version('scikit-image')}, upscaling and medial axis alone: {median(rates['scikit-image']):.1f} "
        f"images/s/core; our whole measurement is {median(ratios):.0f} times as fast "
        f"({min(ratios):.0f}-{max(ratios):.0f}, alternating)"
    )
    for threads in args.threads:
        for name, work in (
            ("render", lambda: render(digits, thickness, intensity, threads)),  # noqa: B023
            ("measure", lambda: measure(digits, threads)),  # noqa: B023
        ):
            rate = max(_rate(work, len(digits), time.perf_counter) for _ in range(args.rounds))
            print(
                f"{name}, {threads} threads: {rate:.0f} images/s of wall-clock time (best of {args.rounds})"
            )


def _rate(work: Callable[[], object], images: int, clock: Callable[[], float] = time.process_time) -> float:
    """Returns images per second."""
    began = clock()
    work()
    return images / (clock() - began)


def _measure_thickness(digit: np.ndarray, scale: int = 4) -> float:
    """Returns the mean thickness in px by scikit-image alone, called as in the published code."""
    fine = (255.0 * pyramid_expand(digit, scale, sigma=2 * scale / 6, order=3)).astype(np.uint8)
    low, high = int(fine.min()), int(fine.max())
    skeleton, distance = medial_axis(fine >= low + 0.5 * (high - low), return_distance=True, rng=42)
    return 2.0 * distance[skeleton].mean() / scale


if __name__ == "__main__":
    main()
