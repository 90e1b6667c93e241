"""Measures the CPU seconds of true counterfactuals with and without the strokes of earlier questions.

    python benchmarks/rendering_reuse.py --data results/morphomnist/data

The same questions are rendered with what earlier ones left, and with everything dropped before each rendering,
alternately. Every image is asked to take several thicknesses and, at its own thickness, several intensities, as a sweep
does. The images must be equal.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from counterfactory.data.dataset import load_split
from counterfactory.data.morpho_sets import read_digits
from counterfactory.data.morphology import render, reuse


def main() -> None:
    """Prints the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of a generated data set of digits")
    parser.add_argument("--images", type=int, default=20, help="test images (default: 20)")
    parser.add_argument("--values", type=int, default=9, help="values of each variable (default: 9)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    args = parser.parse_args()

    rows = load_split(args.data, "test").attributes.iloc[: args.images]
    digits, _ = read_digits(args.data / "digits")
    own = np.repeat(np.arange(len(rows)), 2 * args.values)
    asked = digits[rows["source"].to_numpy()][own]
    thickness, intensity = (rows[name].to_numpy()[own] for name in ("thickness", "intensity"))
    first = np.arange(len(own)) % (2 * args.values) < args.values
    number = np.arange(len(own)) % args.values / max(1, args.values - 1)
    thickness = np.where(first, 1.5 + 3.5 * number, thickness)
    intensity = np.where(first, intensity, 70.0 + 180.0 * number)

    def seconds(kept: bool) -> tuple[float, np.ndarray]:
        """Returns the CPU seconds, and the images."""
        images = []
        reuse.kept_strokes.clear()
        reuse.kept_shapes.clear()
        began = time.process_time()
        for question in range(len(own)):
            if not kept:
                reuse.kept_strokes.clear()
                reuse.kept_shapes.clear()
            part = slice(question, question + 1)
            images.append(render(asked[part], thickness[part], intensity[part]))
        return time.process_time() - began, np.concatenate(images)

    seconds(True)
    times: dict[bool, list[float]] = {True: [], False: []}
    found = {}
    for _ in range(args.rounds):
        for kept in (True, False):
            spent, found[kept] = seconds(kept)
            times[kept].append(spent)
    np.testing.assert_array_equal(found[True], found[False])
    anew, reused = median(times[False]), median(times[True])
    count = len(own)
    print(f"{count} questions of {args.images} images, equal images")
    print(
        f"anew {1e3 * anew / count:.2f} CPU-ms a question, reused {1e3 * reused / count:.2f} ({anew / reused:.1f} x)"
    )


if __name__ == "__main__":
    main()
