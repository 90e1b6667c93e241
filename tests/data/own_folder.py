"""Draws folders of images with tables, as users have them: regular ones, and ones with every kind of odd row."""

import csv
import random

import numpy as np
from PIL import Image, ImageDraw

HUES = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 80, 230)}
HEADER = ("file", "Size", "hue", "outline", "person")


def draw(size, hue, outline, shape=(48, 40)):
    picture = Image.new("RGB", shape, (230, 230, 225))
    box = (shape[0] / 2 - size, shape[1] / 2 - size, shape[0] / 2 + size, shape[1] / 2 + size)
    ImageDraw.Draw(picture).ellipse(box, fill=HUES[hue], outline=(10, 10, 10) if outline else None, width=2)
    return picture


def draw_folder(folder, count=120, seed=0, people=40):
    """Writes `count` images and `table.csv`; returns the rows of the table."""
    rng = random.Random(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(count):
        size, hue, outline = rng.uniform(4, 18), rng.choice(sorted(HUES)), rng.random() < 0.5
        name = f"{number:04d}.png"
        picture = draw(size, hue, outline)
        picture.putpixel((0, 0), (number % 256, number // 256, 0))  # no two files are equal
        picture.save(folder / "images" / name)
        rows.append([name, f"{size:.4f}", hue, "yes" if outline else "no", f"p{number % people}"])
    write_table(folder / "table.csv", rows)
    return rows


def write_table(path, rows, header=HEADER, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)


def add_odd_rows(folder, rows):
    """Adds one of each kind of odd file and row, and writes the table; returns what `notes.txt` must say of each."""
    images = folder / "images"
    plain = draw(10, "red", False)
    said = {}

    def add(name, words, size="7.5", hue="red", outline="no", person="p1"):
        rows.append([name, size, hue, outline, person])
        said[len(rows)] = words

    plain.convert("CMYK").save(images / "cmyk.jpg")
    add("cmyk.jpg", "CMYK")
    Image.fromarray(np.full((40, 40), 30_000, np.uint16)).save(images / "deep.png")
    add("deep.png", "16 bit")
    clear = plain.convert("RGBA")
    clear.putalpha(90)
    clear.save(images / "clear.png")
    add("clear.png", "transparent pixels")
    exif = Image.Exif()
    exif[0x0112] = 8
    draw(11, "red", False).save(images / "turned.jpg", exif=exif)
    add("turned.jpg", "rotated by EXIF")
    plain.convert("P").save(images / "palette.gif")
    add("palette.gif", "palette")
    plain.resize((1, 1)).save(images / "pixel.png")
    add("pixel.png", "1 x 1 px, less than 8")
    plain.resize((12, 12)).save(images / "small.png")
    add("small.png", "enlarged from 12 x 12 px")
    (images / "corrupt.png").write_bytes((images / "0000.png").read_bytes()[:80])
    add("corrupt.png", "not an image that can be read")
    (images / "words.jpg").write_text("this is no image")
    add("words.jpg", "not an image that can be read")
    add("missing.png", "missing.png: no such file")
    add("../table.csv", "../table.csv: leads out of")
    add("", "names no image; left out")
    draw(12, "blue", True).save(images / "a name with blanks.png")
    add("a name with blanks.png", "a name with blanks")
    plain.save(images / "copy.png")
    add("copy.png", "")
    (images / "copy2.png").write_bytes((images / "copy.png").read_bytes())
    add("copy2.png", "the same content as copy.png")
    draw(6, "green", False).save(images / "novalue.png")
    add("novalue.png", "Size is missing", size="NA")
    add("0001.png", "gives the same image other values", size="1.25")
    said[2] = "gives the same image other values"
    rows.append(list(rows[2]))
    said[len(rows)] = "0002.png: the same as row 3"
    for word in ("1", "-1", "True", "No"):
        name = f"word{word}.png"
        draw(rows.__len__() / 20, "green", word in ("1", "True")).save(images / name)
        add(name, "", outline=word)
    draw(5, "red", False).save(images / "maybe.png")
    add("maybe.png", "outline: 'maybe' is none of no, yes", outline="maybe")
    draw(5.5, "red", False).save(images / "unnamed.png")
    write_table(folder / "table.csv", rows)
    with open(folder / "table.csv", "a", encoding="utf-8") as file:
        file.write("short.png,3\n")
    said[len(rows) + 1] = "another number of cells than the header"
    return said
