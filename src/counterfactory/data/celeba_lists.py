"""Reads the lists of CelebA: attributes, partitions and identities, in the official format or as csv.

The official lists are text: one line for each image, values separated by blanks. That of the attributes begins with the
number of images and the names of the attributes. The lists of Kaggle are csv with a header. Attributes are -1 and 1.
Lists may be incomplete: an image is used if it is in the lists of attributes and of partitions and its file exists.
"""

import sys
from pathlib import Path

import pandas as pd

from ..core.errors import BadFile, UserError, reading
from .celeba_entry import ATTRIBUTES, LISTS, check_folder, find_list

__all__ = ["read_lists"]

FOLDER = "img_align_celeba"


def read_lists(folder: Path | str | None) -> pd.DataFrame:
    """Returns one row for each image of CelebA whose file exists, in the order of the list of attributes.

    Images that are left out are counted in a line on stderr.

    Arguments:
        folder: The folder of CelebA, `data.celeba.folder`.

    Returns:
        The columns `index` (the row in the list), `path` (below the folder), `partition` (0, 1 or 2), `identity` (only
        if there is a list of identities) and the 40 attributes, 0 or 1.

    Raises:
        UserError: If the folder, a list or all images are missing, or a list is not one of CelebA.
    """
    root = check_folder(folder)
    paths = [find_list(root, name) or root for name in LISTS]
    attributes, partition = (_read(path) for path in paths[:2])
    for name in ATTRIBUTES:
        if name not in attributes:
            raise BadFile(f"{paths[0]}: has no attribute {name}; use the official list")
    table = pd.DataFrame({"index": range(len(attributes))}, index=attributes.index)
    table["path"] = _paths(root, table.index)
    table["partition"] = partition.iloc[:, 0].reindex(table.index)
    identities = find_list(root, LISTS[2])
    if identities is not None:
        table["identity"] = _read(identities).iloc[:, 0].reindex(table.index)
    else:
        print(
            f"celeba: {root} has no list {LISTS[2]}; images are divided one by one, not by identity",
            file=sys.stderr,
        )
    table = pd.concat([table, (attributes[list(ATTRIBUTES)] > 0).astype("int64")], axis=1)
    for column, reason in (("path", "no file"), ("partition", "no partition"), ("identity", "no identity")):
        if column in table and (missing := int(table[column].isna().sum())):
            print(f"celeba: {missing:,} of {len(table):,} listed images left out: {reason}", file=sys.stderr)
            table = table[table[column].notna()]
    if not len(table):
        raise UserError(
            f"data.celeba.folder: {root} contains none of the listed images; put them in {root / FOLDER}"
        )
    whole = [column for column in ("partition", "identity") if column in table]
    return table.astype(dict.fromkeys(whole, "int64")).reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    """Reads a list; its index is the name of the image file."""
    with reading(path, "not a list of CelebA"):
        if path.suffix == ".csv":
            table = pd.read_csv(path, index_col=0)
        else:
            with path.open(encoding="utf-8") as file:
                first = file.readline().split()
            # Only the list of attributes begins with a count and a line of names.
            if len(first) == 1:
                table = pd.read_csv(path, sep=r"\s+", skiprows=1)
            else:
                table = pd.read_csv(path, sep=r"\s+", header=None, index_col=0)
    if not table.shape[1] or not all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes):
        raise BadFile(f"{path}: not a list of CelebA; get it again")
    table.index = table.index.astype(str)
    if table.index.has_duplicates:
        name = table.index[table.index.duplicated()][0]
        raise BadFile(f"{path}: lists {name} twice; get it again")
    return table


def _paths(root: Path, names: pd.Index) -> pd.Series:
    """Returns the path of each image below `root`, or NaN; archives nest the folder of images in one of its name."""
    places = [root / FOLDER / FOLDER, root / FOLDER, root / "Img" / FOLDER]
    there: dict[str, str] = {}
    for place in places:
        if place.is_dir():
            for path in place.iterdir():
                there.setdefault(path.name, str(path.relative_to(root)))
    # Kaggle's list of images ends in .jpg, as the files; PNG files of the same names are accepted.
    return pd.Series([there.get(name, there.get(f"{Path(name).stem}.png")) for name in names], index=names)
