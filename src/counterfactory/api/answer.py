"""The answer to one question about one image: images, parents before and after, and how far samples differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from .outputs import save_picture

__all__ = ["Imagined", "Parent", "sheet", "to_picture"]


@dataclass(frozen=True)
class Parent:
    """The value of one variable, and where it is from.

    Arguments:
        value: The value in physical units, or the class.
        source: `given` by the caller, `measured` in the pixels, or `judged` by an evaluation network.
        unit: The unit, empty if there is none.
    """

    value: float
    source: str
    unit: str = ""

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        return f"{self.value:.4g}{self.unit and ' ' + self.unit} ({self.source})"


@dataclass(frozen=True)
class Imagined:
    """The answer of one method to one question about one image.

    Arguments:
        method: The method.
        before: The image that the method received, uint8 (C, H, W).
        images: The answers, one per sample, uint8 (S, C, H, W).
        factual: The parents before, with their sources.
        columns: The method's own parents and further columns, each (S,).
        names: The variables of the data set.
        notes: Lines about changes of the image, and all warnings.
        read: The function that reads parents in images.
    """

    method: str
    before: np.ndarray
    images: np.ndarray
    factual: Mapping[str, Parent]
    columns: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    read: Callable[[np.ndarray], list[dict[str, Parent]]] | None = field(default=None, repr=False)

    @property
    def image(self) -> Image.Image:
        """The first sample."""
        return to_picture(self.images[0])

    @property
    def parents(self) -> dict[str, float]:
        """The method's own parents after the action, for the first sample; empty for an explainer, which has none."""
        found = {name: float(self.columns[name][0]) for name in self.names}
        return {name: value for name, value in found.items() if not np.isnan(value)}

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation over samples in grey levels, float64 (C, H, W); 0 for one sample."""
        return self.images.astype(np.float64).std(axis=0)

    @cached_property
    def measured(self) -> dict[str, Parent]:
        """The parents as read in the first sample: measured in its pixels, or judged."""
        return self.read(self.images[:1])[0] if self.read is not None else {}

    def sheet(self) -> Image.Image:
        """Returns the image before and all samples side by side, enlarged."""
        return sheet([[self.before, *self.images]])

    def save(self, path: Path | str) -> None:
        """Writes the first sample, pixel by pixel.

        Raises:
            UserError: If the format of the suffix is unknown or loses information, or the file cannot be written.
        """
        save_picture(self.image, path)

    def __str__(self) -> str:
        after, found = self.parents, self.measured
        lines = [f"{'variable':<16}{'before':<32}{'after':<12}in the answer"]
        for name in self.names:
            value = f"{after[name]:.4g}" if name in after else "-"
            lines.append(f"{name:<16}{self.factual[name]!s:<32}{value:<12}{found.get(name, '-')}")
        return "\n".join(lines)


def to_picture(image: np.ndarray) -> Image.Image:
    """Returns a uint8 image (C, H, W) as a PIL image."""
    return Image.fromarray(np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)))


def sheet(rows: list[list[np.ndarray]], scale: int = 4) -> Image.Image:
    """Returns images in rows and columns, each pixel enlarged, with white lines between the images.

    Arguments:
        rows: Uint8 images (C, H, W), the same number in each row.
        scale: The side of an enlarged pixel in px.
    """
    drawn = []
    for row in rows:
        large = [image.repeat(scale, 1).repeat(scale, 2) for image in row]
        drawn.append(
            np.concatenate([np.pad(i, ((0, 0), (2, 2), (2, 2)), constant_values=255) for i in large], 2)
        )
    return to_picture(np.concatenate(drawn, axis=1))
