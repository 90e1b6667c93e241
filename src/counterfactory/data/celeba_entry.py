"""Declares CelebA: its attributes, the named causal graphs, and the variables and labels that a configuration asks for.

Every attribute is binary. The attributes of the graph are variables, parents of the image; all others are labels, which
classifiers predict and which explanations can flip. This module imports neither numpy nor torch.

Graphs:

- `simple`, `complex`: Melistas et al., 2024, arXiv:2403.20287.
- `causalgan`: Kocaoglu et al., 2018, arXiv:1709.02023; the graph of "Counterfactuals over GANs".
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from .cycles import check_acyclic
from .variable import Variable

if TYPE_CHECKING:
    from .registry import DatasetEntry

__all__ = [
    "ATTRIBUTES",
    "GRAPHS",
    "LANDMARKS",
    "LISTS",
    "QUERIES",
    "SIZES",
    "binary",
    "check_folder",
    "declare",
    "find_list",
    "landmarks",
]

ATTRIBUTES = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips"),
    *("Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby"),
    *("Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male"),
    *("Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose"),
    *("Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair"),
    *("Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
)
"""The 40 attributes in the official order."""

LANDMARKS = ((69.5, 111.5), (107.5, 111.5), (88.0, 131.0), (72.0, 152.0), (105.0, 152.0))
"""Left eye, right eye, nose, left and right corner of the mouth in the aligned images, in px."""

Edges = tuple[tuple[str, str], ...]

GRAPHS: dict[str, tuple[tuple[str, ...], Edges]] = {
    "simple": (("Smiling", "Eyeglasses"), ()),
    "complex": (
        ("Young", "Male", "No_Beard", "Bald"),
        (("Young", "No_Beard"), ("Young", "Bald"), ("Male", "No_Beard"), ("Male", "Bald")),
    ),
    "causalgan": (
        (
            *("Young", "Male", "Eyeglasses", "Bald", "Mustache", "Smiling", "Wearing_Lipstick"),
            *("Mouth_Slightly_Open", "Narrow_Eyes"),
        ),
        (
            ("Young", "Eyeglasses"),
            *((cause, effect) for effect in ("Bald", "Mustache", "Smiling") for cause in ("Male", "Young")),
            *(("Male", "Wearing_Lipstick"), ("Young", "Wearing_Lipstick")),
            *(("Young", "Mouth_Slightly_Open"), ("Smiling", "Mouth_Slightly_Open")),
            *(("Male", "Narrow_Eyes"), ("Young", "Narrow_Eyes"), ("Smiling", "Narrow_Eyes")),
        ),
    ),
}
"""The variables and edges of the named graphs."""

SIZES = {"benchmark": 64, "causalgan": 64, "dime": 128}
"""Height and width of the images, in px, of each preprocessing, as its authors give it."""

LISTS = ("list_attr_celeba", "list_eval_partition", "identity_CelebA")
"""The lists of attributes, partitions and identities; the last one may be missing."""


def _query(given: dict[str, int], premise: dict[str, int]) -> dict[str, Any]:
    return {"given": given, "premise": premise, "generator": "dcgan", "actual": "drawn"}


QUERIES = {
    "moustache": _query({"Male": 0}, {"Mustache": 1}),
    "lipstick": _query({"Male": 1}, {"Wearing_Lipstick": 1}),
    "man": _query({"Male": 0}, {"Male": 1}),
    "bald": _query({"Male": 1, "Young": 1}, {"Bald": 1}),
    "glasses": _query({"Eyeglasses": 0}, {"Eyeglasses": 1}),
    "smile": _query({"Smiling": 0}, {"Smiling": 1}),
}
"""The six queries of "Counterfactuals over GANs" (github.com/erindb/counterfactualGANs)."""


def binary(name: str) -> Variable:
    """Returns the attribute `name` as a variable with two classes."""
    return Variable(name, "categorical", classes=2, names=("no", "yes"))


def declare(entry: "DatasetEntry", section: Any) -> "DatasetEntry":
    """Returns the declaration of CelebA with the variables and labels that the section `data` asks for.

    Arguments:
        entry: The declaration in the registry.
        section: The section `data`.

    Raises:
        UserError: If a variable is not an attribute of CelebA, or an edge names no variable.
    """
    own = section.celeba
    names, edges = GRAPHS[own.graph]
    if own.variables is not None:
        names, edges = tuple(own.variables), ()
    if own.edges is not None:
        edges = tuple((cause, effect) for cause, effect in own.edges)
    for name in names:
        if name not in ATTRIBUTES:
            raise UserError(
                f"data.celeba.variables: {name} is not an attribute of CelebA; choose from {', '.join(ATTRIBUTES)}"
            )
    for name in (name for edge in edges for name in edge):
        if name not in names:
            raise UserError(
                f"data.celeba.edges: {name} is not a variable; choose from {', '.join(names)}, or add it to "
                "data.celeba.variables"
            )
    check_acyclic(edges, "data.celeba.edges")
    folder = None if own.folder is None else Path(own.folder).expanduser()
    found = [] if folder is None else [find_list(folder, name) for name in LISTS]
    return replace(
        entry,
        variables=tuple(binary(name) for name in names),
        edges=edges,
        labels=tuple(binary(name) for name in ATTRIBUTES if name not in names),
        queries=QUERIES,
        inputs=tuple(str(path) for path in found if path is not None),
        identities=not found or found[LISTS.index("identity_CelebA")] is not None,
        settings={
            **entry.settings,
            "data.image_size": SIZES[own.preprocessing],
            "identity.network.landmarks": landmarks(own.preprocessing),
        },
    )


def landmarks(preprocessing: str) -> list[list[float]]:
    """Returns :data:`LANDMARKS` in an image of a preprocessing, as shares of its side."""
    # Left and upper border, width and height of what is kept, in px of the aligned image, where a whole number is the
    # centre of a pixel. DiME's image of 128 x 156 px loses 14 rows above.
    rows = 218 / 156
    left, top, width, height = {
        "benchmark": (14.0, 34.0, 150.0, 150.0),
        "causalgan": (35.0, 55.0, 108.0, 108.0),
        "dime": (0.0, 14 * rows, 178.0, 128 * rows),
    }[preprocessing]
    return [[round((x + 0.5 - left) / width, 6), round((y + 0.5 - top) / height, 6)] for x, y in LANDMARKS]


def check_folder(folder: Path | str | None) -> Path:
    """Returns the folder of CelebA, after checking that it contains the lists of attributes and partitions.

    Arguments:
        folder: `data.celeba.folder`.

    Raises:
        UserError: If it is null or no folder, or a list is missing.
    """
    if folder is None:
        raise UserError(
            "data.celeba.folder: is null; name the folder with img_align_celeba and the lists of CelebA"
        )
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(f"data.celeba.folder: '{folder}' is not a folder; name that of CelebA")
    for name in LISTS[:2]:
        if find_list(root, name) is None:
            raise UserError(f"data.celeba.folder: {root} contains no {name}.txt or {name}.csv; put it there")
    return root


def find_list(folder: Path, name: str) -> Path | None:
    """Returns the path of a list in the folder of CelebA or its folder `Anno` or `Eval`, or None if there is none."""
    for place in (folder, folder / "Anno", folder / "Eval"):
        for suffix in (".txt", ".csv"):
            if (place / f"{name}{suffix}").is_file():
                return place / f"{name}{suffix}"
    return None
