"""Inspects a folder of images and its table, and proposes the configuration of the data set `folder`.

The proposal lists the variables with their types, ranges and classes, the columns of individuals and splits, and the
size of the images. Each irregularity is one line: unreadable or missing files, missing values, duplicate rows, several
spellings, constant columns and images that are in no row.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..core.errors import UserError
from .column_roles import SPARSE, key_of, role_of, split_of
from .columns import Looks, is_missing, look
from .folder_rows import Notes, Row, counted, read_rows
from .folder_splits import COPIES, split_rows
from .individuals import individual_errors, least_share, paired
from .own_images import FEWEST_IMAGES, annotated, find_image_column, images_in, locate, planned_counts
from .photographs import cropped, decode, kind_of
from .proposal import Proposal, to_yaml
from .tables import Table, find_table, read_columns
from .variable import SPLITS

__all__ = ["Proposal", "inspect", "to_yaml"]

MOST_DECODED = 5_000
"""The largest number of images that are decoded. Of a larger folder, every k-th image is decoded."""

SIZES = (32, 48, 64, 96, 128)
"""The image sizes that are proposed, in px; larger ones take hours on a CPU."""

LARGEST_DEFAULT = 64
HELD_OUT = 0.1
"""The default of `identity.held_out`."""

SPLIT_NUMBERS = {"0": "train", "1": "valid", "2": "test"}
"""The splits of the numbers 0, 1 and 2, as in CelebA's list."""


def inspect(folder: Path | str, table: Path | str | None = None, threads: int = 1) -> Proposal:
    """Inspects a folder of images and its table.

    Arguments:
        folder: The folder.
        table: The table; None: the only one in or beside the folder.
        threads: The number of threads that decode images.

    Raises:
        UserError: If there is no folder, table or image, or no column looks like a variable.
    """
    folder = Path(folder).expanduser()
    found = read_columns(find_table(folder, None if table is None else str(table)))
    image = find_image_column(found, folder)
    looks = {name: look(cells) for name, cells in found.columns.items() if name != image}
    roles = {name: role_of(name, found, one) for name, one in looks.items()}
    section: dict[str, Any] = {"folder": str(folder.resolve()), "table": str(found.path.resolve())}
    section["image_column"] = image
    proposal = Proposal(section)
    section["variables"] = {}
    for name in sorted(looks, key=lambda name: (name.lower(), name)):
        if roles[name] == "variable" and looks[name].numerals.ambiguous:
            unclear = looks[name].numerals
            proposal.left_out[name] = f"has {unclear.ambiguous!r}, which can be {unclear.other()}; correct it"
            proposal.odd.append(f"column {name!r} {proposal.left_out[name]}")
        elif roles[name] == "variable":
            key = key_of(name, section["variables"])
            section["variables"][key] = _proposed(name, key, looks[name])
            proposal.comments[key] = _comment(looks[name], found.columns[name])
        elif roles[name] not in ("split", "identity"):
            proposal.left_out[name] = _reason(roles[name], looks[name])
            if "identity" not in roles.values() and _repeats(looks[name], len(found)):
                proposal.left_out[name] += f"; if it names the individual, set identity_column: {name}"
                proposal.individuals.append(name)
    if not section["variables"]:
        raise UserError(f"{found.path}: no column looks like a variable; add one with numbers or classes")
    for key, role in (("identity_column", "identity"), ("split_column", "split")):
        named = [name for name in looks if roles[name] == role]
        for name in list(named) if role == "identity" else ():
            sparse = looks[name].missing > SPARSE * len(found)
            if sparse or looks[name].different < 2:
                named.remove(name)
                proposal.left_out[name] = _reason("sparse" if sparse else "text", looks[name])
        if named:
            section[key] = named[0]
        for name in named[1:]:
            proposal.left_out[name] = f"another column of this kind than {named[0]}"
    if "split_column" in section:
        _splits(proposal, found)
    if len(found) < FEWEST_IMAGES:
        proposal.odd.append(f"the table has {len(found)} rows, but at least {FEWEST_IMAGES} are required")
    digests = _images(proposal, folder, found, threads)
    _rows(proposal, found, digests)
    return proposal


def _proposed(column: str, key: str, looks: Looks) -> dict[str, Any]:
    own: dict[str, Any] = {} if column == key else {"column": column}
    own["type"] = looks.kind
    if looks.kind == "categorical":
        own["classes"] = list(looks.classes)
    return own


def _comment(looks: Looks, cells: Sequence[str]) -> str:
    missing = f"; {looks.missing:,} missing" if looks.missing else ""
    if looks.kind == "continuous":
        return f"{looks.low:g} to {looks.high:g}, {looks.different:,} different values; unit unknown{missing}"
    counted = Counter(cell for cell in cells if not is_missing(cell)).most_common(6)
    return ", ".join(f"{word}: {count:,}" for word, count in counted) + missing


def _repeats(looks: Looks, rows: int) -> bool:
    """Returns whether a column has many values, which most rows share with others, as the names of individuals do."""
    return 2 < looks.different <= (rows - looks.missing) // 2 and looks.missing <= SPARSE * rows


def _reason(role: str, looks: Looks) -> str:
    if role == "index":
        return "looks like a number of the row"
    if role == "sparse":
        return f"has no value in {looks.missing:,} rows, which would be left out"
    if looks.different < 2:
        return "has the same value in all rows"
    return f"looks like text ({looks.different:,} different values)"


def _splits(proposal: Proposal, table: Table) -> None:
    """Proposes the split of each value of the split column, or leaves the column out if a value is unknown."""
    section = proposal.section
    cells = table.columns[section["split_column"]]
    words = sorted({cell for cell in cells if not is_missing(cell)})
    if set(words) <= set(SPLIT_NUMBERS):
        section["split_values"] = {word: SPLIT_NUMBERS[word] for word in words}
    splits = {split_of(word, section.get("split_values", {})) for word in words}
    if None in splits or "train" not in splits:
        proposal.odd.append(
            f"column {section['split_column']!r} looks like splits, but {', '.join(words[:6])} are not all known; it "
            "is not used"
        )
        section.pop("split_values", None)
        del section["split_column"]
    elif "identity_column" in section:
        homes: dict[str, set[str]] = {}
        for person, cell in zip(table.columns[section["identity_column"]], cells, strict=True):
            # A row without an individual is left out, and one of the split none is not used.
            split = split_of(cell, section.get("split_values", {}))
            if not is_missing(person) and split != "none":
                homes.setdefault(person, set()).add(str(split))
        several = sum(len(home) > 1 for home in homes.values())
        if several:
            proposal.odd.append(
                f"{several:,} individuals of column {section['identity_column']!r} are in several splits of "
                f"{section['split_column']!r}; the splits are followed, and individuals are not"
            )
            del section["identity_column"]


def _images(proposal: Proposal, folder: Path, table: Table, threads: int) -> dict[Path, str]:
    """Decodes the images: their sizes and channels.

    Returns:
        The hash of each file that can be read, by its absolute path; an empty mapping if only some images are decoded.
    """
    names = list(dict.fromkeys(table.columns[proposal.section["image_column"]]))
    paths = [path for name in names if (path := locate(folder, name)) is not None]
    step = -(-len(paths) // MOST_DECODED)
    some = paths[::step]

    def one(path: Path) -> tuple[tuple[int, int], tuple[str, ...], str] | str:
        try:
            picture, converted = decode(path, 3)
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if step == 1 else ""
            return cropped(picture, "square", path).size, converted, digest
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        results = list(pool.map(one, some))
    read = [result for result in results if not isinstance(result, str)]
    proposal.odd += [
        f"{result.partition('; ')[0]}; the row is left out" for result in results if isinstance(result, str)
    ]
    if not read:
        raise UserError(f"{folder}: none of its images can be read; save them as PNG or JPEG")
    converted = Counter(kind_of(one) for _, all_of, _ in read for one in all_of if one != "grey")
    proposal.odd += [f"{counted(count, 'image')}: {kind}" for kind, count in sorted(converted.items())]
    grey = sum("grey" in all_of for _, all_of, _ in read)
    sides = sorted(size[0] for size, _, _ in read)
    typical = sides[len(sides) // 2]
    proposal.section["crop"] = "square"
    proposal.section["channels"] = 1 if grey == len(read) else 3
    if 0 < grey < len(read):
        proposal.odd.append(
            f"{grey:,} of {len(read):,} images {'is' if grey == 1 else 'are'} grey, the others coloured; all are read "
            "as RGB"
        )
    fitting = [size for size in SIZES if size <= min(typical, LARGEST_DEFAULT)]
    proposal.section["image_size"] = fitting[-1] if fitting else SIZES[0]
    sizes = f"{sides[0]} to {sides[-1]} px (median {typical})"
    if sides[0] == sides[-1]:
        sizes = f"{typical} px, all of this size"
    files = counted(sum(1 for _ in images_in(folder)), "image file")
    proposal.summary += [
        f"{counted(len(table), 'row')} in {table.path.name}, {files}; row 1 is the first one below the header",
        f"centre squares: {sizes}" + (f", of every {step}th image" if step > 1 else ""),
    ]
    if step > 1:
        return {}
    # The proposed folder is absolute, and so are the paths of its rows.
    root = folder.resolve()
    return {
        root / path.relative_to(folder): result[2]
        for path, result in zip(some, results, strict=True)
        if not isinstance(result, str)
    }


def _rows(proposal: Proposal, table: Table, digests: Mapping[Path, str]) -> None:
    """Reads all rows as the step does, lists their faults and remarks, and counts the images of each split."""
    defaults: dict[str, Any] = {
        "labels": {},
        "edges": [],
        "identity_column": None,
        "split_column": None,
        "split_values": {},
        "seed": 0,
    }
    own: dict[str, Any] = {"column": None, "range": "auto", "classes": [], "unit": ""}
    variables = {
        name: SimpleNamespace(**{**own, **one}) for name, one in proposal.section["variables"].items()
    }
    settings: Any = SimpleNamespace(**{**defaults, **proposal.section, "variables": variables})
    notes = Notes()
    rows = read_rows(annotated(settings), settings, notes)
    if digests:  # the images that cannot be read have a line already
        rows = [row for row in rows if row.path in digests]
    proposal.odd += notes.irregularities()
    proposal.odd += [line for line in notes.summary() if line.startswith("not used")]
    contents = [digests.get(row.path, row.name) for row in rows]
    _count(proposal, settings, table, rows, contents, bool(digests))


def _count(
    proposal: Proposal, settings: Any, table: Table, rows: list[Row], digests: list[str], read: bool
) -> None:
    """Divides the rows as the step does, and adds the sizes of the splits, or why there are none.

    Arguments:
        proposal: The proposal.
        settings: Its section `data`.
        table: The table.
        rows: The rows that can be used.
        digests: The hash of the file of each row, or its name if not all files were read.
        read: Whether all files were read.
    """
    notes = Notes()
    total = len(table) + len(table.ragged)
    try:
        vars(settings).update(planned_counts(table, settings))
        splits = split_rows(rows, digests, settings, notes)
    except UserError as error:
        proposal.odd.append(str(error))
        return
    copies = [line for kind, _, line in notes.faults if kind == COPIES]
    proposal.odd += copies
    sizes = ", ".join(f"{split} {len(splits[split]):,}" for split in SPLITS)
    if settings.split_column:
        by = f"column {settings.split_column!r}"
    else:
        by = "individual" if settings.identity_column else "the content of the file"
    proposal.summary.append(
        f"{len(rows) - len(copies):,} of {counted(total, 'row')} can be used: {sizes} (by {by})"
    )
    if settings.identity_column:
        # The default of identity.splits and identity.held_out.
        count = paired(rows[position].identity for position in splits["judges"])
        if lines := individual_errors(count, HELD_OUT, ["judges"]):
            proposal.odd += lines
            proposal.held_out = least_share(count)
