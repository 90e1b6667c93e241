"""Draws faces and writes them as CelebA is laid out: a test double, without any photograph.

An image is an aligned face of 178 x 218 px. Skin, hair and background have the colours of its identity. Attributes that
are drawn: the curve of the mouth (Smiling), glasses, hair (Bald, its length for Male, its colour), moustache, beard,
lipstick, an open mouth, wrinkles (not Young). All other attributes are random.

`python -m tests.faces FOLDER` writes a folder for the preset `faces_smoke`.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from counterfactory.data.celeba_entry import ATTRIBUTES
from counterfactory.data.celeba_lists import read_lists

WIDTH, HEIGHT = 178, 218
HAIR = {"Black_Hair": (25, 20, 20), "Brown_Hair": (95, 60, 30), "Blond_Hair": (220, 190, 110)}
PARTITIONS = (0.6, 0.2, 0.2)


def draw_attributes(count: int, people: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns the 40 attributes of images, bool (N,); sex, age and hair depend on the identity, 0 to `count` - 1."""
    found = {name: rng.random(len(people)) < 0.3 for name in ATTRIBUTES}
    male, young = rng.random(count) < 0.5, rng.random(count) < 0.6
    hair = rng.integers(0, 3, count)
    found |= {"Male": male[people], "Young": young[people]}
    for number, name in enumerate(HAIR):
        found[name] = (hair == number)[people]
    found["Bald"] = (rng.random(count) < 0.5)[people] & found["Male"] & ~found["Young"]
    for name in ("Smiling", "Mouth_Slightly_Open"):
        found[name] = rng.random(len(people)) < 0.5
    found["Wearing_Lipstick"] &= ~found["Male"]
    found["Mustache"] &= found["Male"]
    found["No_Beard"] = ~found["Male"] | (rng.random(len(people)) < 0.6)
    return found


def draw_face(attributes: dict[str, bool], colours: np.random.Generator) -> Image.Image:
    """Returns a face with the attributes; `colours` draws the colours of its identity."""
    back = tuple(int(v) for v in colours.integers(40, 220, 3))
    light = colours.uniform(0.5, 1.0)
    skin = tuple(int(light * v) for v in (250, 205, 170))
    eyes = tuple(int(v) for v in colours.integers(20, 140, 3))
    tint = colours.integers(-15, 16, 3)
    hair = next((HAIR[name] for name in HAIR if attributes[name]), (130, 130, 130))
    hair = tuple(int(np.clip(v + d, 0, 255)) for v, d in zip(hair, tint, strict=True))
    wide = int(colours.integers(38, 48))
    image = Image.new("RGB", (WIDTH, HEIGHT), back)
    draw = ImageDraw.Draw(image)
    if not attributes["Bald"]:
        low = 130 if attributes["Male"] else 205
        draw.ellipse((88 - wide - 12, 45, 88 + wide + 12, 165), fill=hair)
        draw.rectangle((88 - wide - 12, 105, 88 + wide + 12, low), fill=hair)
    draw.ellipse((88 - wide, 65, 88 + wide, 182), fill=skin)
    if not attributes["No_Beard"]:
        draw.chord((88 - wide, 65, 88 + wide, 182), 25, 155, fill=hair)
    dark = tuple(v // 2 for v in skin)
    if not attributes["Young"]:
        for y in (84, 90, 96):
            draw.line((68, y, 108, y), fill=dark, width=2)
    for x in (69, 107):
        draw.ellipse((x - 8, 107, x + 8, 117), fill=(245, 245, 245))
        draw.ellipse((x - 4, 108, x + 4, 116), fill=eyes)
        if attributes["Eyeglasses"]:
            draw.ellipse((x - 15, 98, x + 15, 126), outline=(10, 10, 10), width=4)
    if attributes["Eyeglasses"]:
        draw.line((84, 111, 92, 111), fill=(10, 10, 10), width=4)
    draw.line((88, 115, 84, 133, 91, 133), fill=dark, width=2)
    if attributes["Mustache"]:
        draw.rectangle((70, 138, 106, 145), fill=hair)
    lips = (200, 20, 50) if attributes["Wearing_Lipstick"] else (150, 70, 70)
    if attributes["Smiling"]:
        draw.chord(
            (66, 128, 110, 168), 20, 160, fill=(250, 250, 250) if attributes["Mouth_Slightly_Open"] else lips
        )
        draw.arc((66, 128, 110, 168), 20, 160, fill=lips, width=5)
    else:
        draw.line((72, 155, 104, 155), fill=lips, width=6)
        if attributes["Mouth_Slightly_Open"]:
            draw.ellipse((76, 150, 100, 166), fill=(40, 10, 10), outline=lips, width=3)
    return image


def write_faces(
    folder: Path,
    identities: int = 60,
    each: int = 4,
    seed: int = 0,
    suffix: str = ".txt",
    nested: bool = False,
) -> Path:
    """Writes images and lists as CelebA is laid out, and returns the folder.

    Arguments:
        folder: The folder of CelebA.
        identities: The number of persons.
        each: Images of each.
        seed: The seed of everything.
        suffix: `.txt` (official lists) or `.csv` (those of Kaggle).
        nested: Whether the folder of images is nested in one of its name.
    """
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.repeat(np.arange(identities), each))
    attributes = draw_attributes(identities, people, rng)
    ends = np.round(np.cumsum(PARTITIONS) * identities)
    partition = np.searchsorted(ends, people, side="right")
    images = folder / "img_align_celeba" / ("img_align_celeba" if nested else "")
    images.mkdir(parents=True, exist_ok=True)
    names = [f"{number:06d}.jpg" for number in range(1, len(people) + 1)]
    for row, name in enumerate(names):
        face = draw_face(
            {key: bool(one[row]) for key, one in attributes.items()},
            np.random.default_rng([seed, int(people[row])]),
        )
        face.save(images / name, quality=90)
    signs = np.stack([2 * attributes[name].astype(int) - 1 for name in ATTRIBUTES], 1)
    if suffix == ".csv":
        head = "image_id," + ",".join(ATTRIBUTES)
        lines = [",".join([name, *map(str, one)]) for name, one in zip(names, signs, strict=True)]
        parts = ["image_id,partition", *(f"{name},{one}" for name, one in zip(names, partition, strict=True))]
    else:
        head = f"{len(names)}\n{' '.join(ATTRIBUTES)} "
        lines = [
            f"{name} " + " ".join(f"{v:2d}" for v in one) for name, one in zip(names, signs, strict=True)
        ]
        parts = [f"{name} {one}" for name, one in zip(names, partition, strict=True)]
    (folder / f"list_attr_celeba{suffix}").write_text("\n".join([head, *lines]) + "\n")
    (folder / f"list_eval_partition{suffix}").write_text("\n".join(parts) + "\n")
    known = [f"{name} {one + 1}" for name, one in zip(names, people, strict=True)]
    (folder / "identity_CelebA.txt").write_text("\n".join(known) + "\n")
    return folder


def main(folder: Path, identities: int = 500, each: int = 5) -> None:
    """Writes a folder for the preset `faces_smoke`, and prints how many faces each partition has."""
    write_faces(folder, identities, each)
    partitions = read_lists(folder)["partition"].value_counts().sort_index()
    faces = ", ".join(f"{count:,} in partition {number}" for number, count in partitions.items())
    print(f"{folder}: drawn {identities * each:,} faces of {identities:,} persons: {faces}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
