"""Which data sets there are, and what planning must know of each: names only, nothing heavy is imported.

The configuration checks names against this table, and the command line and the workflow plan by it. A data set called
`x` is the module `counterfactory.data.x` (see :mod:`counterfactory.data.worlds`); adding one is that file and a line
here.
"""

from dataclasses import dataclass

__all__ = ["DATASETS", "DatasetEntry"]


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of a data set before it is made.

    Arguments:
        variables: The parents of its images, in order; for a categorical one how many classes it has, else 0.
        origin: What its images are made of, in the words of a user.
        train: How many of those the splits `train`, `valid` and `judges` are drawn from.
        test: How many others the split `test` is drawn from.
        simulated: Whether its true counterfactuals are known.
        digits: Whether it is made of MNIST's digits, which must then be there first.
        size: The only height and width its images have, in px; 0: any multiple of 8.
        files: What it writes beside splits and `dataset.json`, as paths below its folder.
        measured: What its world measures of the pixels, parents or not.
    """

    variables: dict[str, int]
    origin: str
    train: int
    test: int
    simulated: bool = False
    digits: bool = False
    size: int = 0
    files: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()


DATASETS = {
    "morphomnist": DatasetEntry(
        {"thickness": 0, "intensity": 0, "digit": 10},
        origin="MNIST",
        train=60_000,
        test=10_000,
        simulated=True,
        digits=True,
        size=32,
        measured=("area", "length", "thickness", "slant", "width", "height", "intensity"),
        files=tuple(
            f"idx/{part}-{kind}"
            for part in ("train", "t10k")
            for kind in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz", "morpho.csv")
        ),
    ),
    "pendulum": DatasetEntry(
        {"angle": 0, "light": 0, "shadow_length": 0, "shadow_position": 0},
        origin="the pendulum",
        train=10_000_000,
        test=10_000_000,
        simulated=True,
        measured=("angle", "light", "shadow_length", "shadow_position"),
    ),
}
