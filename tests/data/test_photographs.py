"""Image files of every mode, size and fault: what networks receive, and what is said about it."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from counterfactory.core.errors import BadFile, UserError
from counterfactory.data import photographs
from counterfactory.data.photographs import read_photograph


def half(mode="RGB", size=(40, 20), left=200, right=40):
    """An image whose left half is light and whose right half is dark."""
    pixels = np.full(size[::-1], right, np.uint8)
    pixels[:, : size[0] // 2] = left
    return Image.fromarray(pixels).convert(mode)


def test_the_centre_square_is_kept_and_halves_stay_halves(tmp_path):
    half().save(tmp_path / "a name with blanks.png")
    found = read_photograph(tmp_path / "a name with blanks.png", 3, 16)
    assert found.pixels.shape == (3, 16, 16) and found.pixels.dtype == np.uint8 and found.converted == ()
    assert (found.pixels[:, :, :6] == 200).all() and (found.pixels[:, :, -6:] == 40).all()


@pytest.mark.parametrize("crop, columns", [("none", 8), ("square", 8), (10, 5)])
def test_crops(tmp_path, crop, columns):
    picture = half(size=(40, 20))
    picture.paste((0, 0, 0), (0, 0, 5, 20))  # a border that only the whole image shows
    picture.save(tmp_path / "x.png")
    found = read_photograph(tmp_path / "x.png", 1, 16, crop).pixels[0]
    assert found[8, 8:].max() < 150 and found[8, 6] == 200
    assert (found[8, 0] < 100) == (crop == "none")


def test_filters_keep_the_mean_and_area_is_the_mean_of_blocks(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    area = read_photograph(tmp_path / "x.png", 1, 16, "none", "area").pixels[0]
    blocks = noise.reshape(16, 4, 16, 4).mean((1, 3))
    assert np.abs(area - blocks).max() <= 1.0
    bilinear = read_photograph(tmp_path / "x.png", 1, 16, "none", "bilinear").pixels[0]
    # Antialiased: the standard deviation shrinks, where picking single pixels would keep it.
    assert bilinear.std() < 0.35 * noise.std() and abs(bilinear.mean() - noise.mean()) < 2


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    half(size=(20, 20)).save(tmp_path / "x.jpg", exif=exif, quality=95)
    found = read_photograph(tmp_path / "x.jpg", 1, 20)
    assert found.converted == ("rotated by EXIF",)
    assert found.pixels[0, :8].min() > 190 and found.pixels[0, -8:].max() < 50


def test_modes(tmp_path):
    half("CMYK", (20, 20)).save(tmp_path / "cmyk.jpg", quality=95)
    found = read_photograph(tmp_path / "cmyk.jpg", 3, 20)
    assert found.converted == ("CMYK",) and abs(int(found.pixels[0, 5, 5]) - 200) < 4

    deep = np.full((20, 20), 51_400, np.uint16)  # 200 * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = read_photograph(tmp_path / "deep.png", 3, 20)
    assert found.converted == ("16 bit", "grey") and (found.pixels == 200).all()

    clear = half("RGBA", (20, 20))
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    found = read_photograph(tmp_path / "clear.png", 3, 20)
    assert found.converted == ("transparent pixels",) and (found.pixels == 255).all()

    half("P", (20, 20)).save(tmp_path / "palette.gif")
    assert "palette" in read_photograph(tmp_path / "palette.gif", 3, 20).converted
    half("L", (20, 20)).save(tmp_path / "grey.png")
    assert read_photograph(tmp_path / "grey.png", 3, 20).converted == ("grey",)
    assert read_photograph(tmp_path / "grey.png", 1, 20).converted == ()


def test_grey_is_the_luma(tmp_path):
    Image.new("RGB", (8, 8), (100, 200, 50)).save(tmp_path / "x.png")
    grey = read_photograph(tmp_path / "x.png", 1, 8).pixels
    assert (grey == round(0.299 * 100 + 0.587 * 200 + 0.114 * 50)).all()


def test_a_small_image_is_enlarged_and_says_so(tmp_path):
    half(size=(10, 12)).save(tmp_path / "x.png")
    assert read_photograph(tmp_path / "x.png", 3, 64).converted == ("enlarged from 10 x 10 px",)


def _of(picture, format="PNG"):
    file = io.BytesIO()
    picture.save(file, format)
    return file.getvalue()


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not an image"),
        (b"no image at all", "not an image"),
        (_of(half())[:60], "not an image"),
        (_of(half(size=(400, 400)), "JPEG")[:900], "truncated"),
        (_of(half(size=(1, 1))), "1 x 1 px, less than 8"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n", "not an image"),
        (_of(Image.fromarray(np.zeros((20, 20), np.float32)), "TIFF"), "floating point"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file(tmp_path, content, words):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(BadFile, match=re.escape(words)) as caught:
        read_photograph(tmp_path / "bad.png", 3, 16)
    assert str(caught.value).startswith(f"{tmp_path / 'bad.png'}: ") and "\n" not in str(caught.value)


def test_a_missing_file_and_an_image_smaller_than_its_crop(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_photograph(tmp_path / "none.png", 3, 16)
    half().save(tmp_path / "x.png")
    with pytest.raises(BadFile, match="40 x 20 px, less than the crop of 30 px"):
        read_photograph(tmp_path / "x.png", 3, 16, 30)


def test_a_small_file_cannot_announce_a_huge_image(tmp_path, monkeypatch):
    half(size=(60, 60)).save(tmp_path / "x.png")
    monkeypatch.setattr(photographs, "MAX_PIXELS", 3_000)
    with pytest.raises(BadFile, match="more than 3,000 pixels"):
        read_photograph(tmp_path / "x.png", 3, 16)


def test_16_bits_that_hold_another_range_are_reported(tmp_path):
    for value, said in ((4_095, "dark with no value above 4,095 of 65,535"), (4_096, None)):
        Image.fromarray(np.full((20, 20), value, np.uint16)).save(tmp_path / "x.png")
        converted = read_photograph(tmp_path / "x.png", 1, 16).converted
        assert converted == ("16 bit", *([said] if said else []))
    Image.fromarray(np.full((20, 20), 70_000, np.int32)).save(tmp_path / "x.tif")
    found = read_photograph(tmp_path / "x.tif", 1, 16)
    assert (
        found.converted == ("16 bit", "values above 65,535 that become white") and (found.pixels == 255).all()
    )


def test_the_first_frame_is_read_and_kinds_have_no_numbers(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    found = read_photograph(tmp_path / "x.gif", 3, 16)
    assert found.pixels[:, 0, 0].tolist() == [255, 0, 0] and found.converted[0] == "first frame of 3"
    kinds = {
        "first frame of 3": "first frame",
        "enlarged from 9 x 9 px": "enlarged",
        "rotated by EXIF": "rotated by EXIF",
    }
    kinds["dark with no value above 4,095 of 65,535"] = "dark"
    assert {text: photographs.kind_of(text) for text in kinds} == kinds
