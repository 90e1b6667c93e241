import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_json
from counterfactory.report.effectiveness import BINS, _curve
from counterfactory.report.style import _SETTINGS, FAINT, add_axes, add_legend, frame_tiles, method_colours
from counterfactory.report.sweeps import difference_colours
from tests.report.pretend import DATASET, make_figures


def test_every_figure_is_written_whole_and_as_panels(figures):
    index = read_json(figures / "index.json")
    assert [picture["key"] for picture in index] == [
        "distance",
        "sweep_thickness",
        "sweep_intensity",
        "sweep_digit",
        "effectiveness",
        "training",
        "training_time",
        "cost",
    ]
    for picture in index:
        assert picture["title"] and picture["caption"].endswith(".")
        with Image.open(figures / f"{picture['key']}.png") as image:
            assert image.width >= 700
        for file in (f"{picture['key']}.svg", *(panel["file"] for panel in picture["panels"])):
            root = ET.parse(figures / file).getroot()
            assert root.tag.endswith("svg")
        for panel in picture["panels"]:
            assert len(panel["alt"]) > 30 and panel["width"] == 350 and panel["height"] > 30


def test_svgs_load_no_files_and_support_dark_mode(figures):
    for path in figures.rglob("*.svg"):
        text = path.read_text()
        assert "prefers-color-scheme: dark" in text
        links = [
            value
            for node in ET.parse(path).iter()
            for key, value in node.attrib.items()
            if key.endswith("href")
        ]
        assert all(link.startswith(("#", "data:")) for link in links)


def test_grids_show_the_questions(figures):
    index = {picture["key"]: picture for picture in read_json(figures / "index.json")}
    assert len(index["sweep_thickness"]["panels"]) == 2
    alt = index["sweep_thickness"]["panels"][0]["alt"]
    assert "1.4, 1.9, 2.4, 2.9, 3.4, 3.9, 4.4" in alt and "Truth, VAE, HVAE" in alt and "differences" in alt
    assert "Truth" not in index["sweep_digit"]["panels"][0]["alt"]
    assert "not determined" in index["sweep_digit"]["caption"]


def test_without_a_sweep_other_figures_are_written(two_seeds, tmp_path):
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "do.parquet").write_bytes((two_seeds / "questions" / "do.parquet").read_bytes())
    out = make_figures(two_seeds, tmp_path / "figures", questions=tmp_path / "questions", logs=[])
    assert [picture["key"] for picture in read_json(out / "index.json")] == [
        "distance",
        "effectiveness",
        "cost",
    ]


def test_answers_to_other_questions_raise_an_error(results, tmp_path):
    for path in (results / "questions").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    sweep = pd.read_parquet(tmp_path / "sweep.parquet").assign(seed=7)
    sweep.to_parquet(tmp_path / "sweep.parquet", index=False)
    with pytest.raises(UserError, match="sweep"):
        make_figures(results, tmp_path / "figures", questions=tmp_path)


def test_differences_are_black_at_zero_and_coloured_by_sign():
    colours = difference_colours(np.array([[0.0, 255.0, -255.0, 64.0]]))
    assert colours.shape == (1, 4, 4) and (colours[..., 3] == 1).all()
    np.testing.assert_array_equal(colours[0, 0, :3], 0)
    assert colours[0, 1, 0] > colours[0, 1, 2] and colours[0, 2, 2] > colours[0, 2, 0]
    np.testing.assert_allclose(colours[0, 3, :3], colours[0, 1, :3] / 2)


def test_white_tiles_have_visible_frames():
    figure = Figure(figsize=(1, 1), dpi=340)  # 10 px to one of the 34 below
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 34), ylim=(34, 0))
    axes.set_axis_off()
    frame_tiles(axes, [(1, 1), (17, 1)], 14)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    grey = np.asarray(canvas.buffer_rgba())[..., :3].min(-1) < 240
    lines = np.flatnonzero(np.diff(grey[80].astype(int)) == 1) / 10  # half-way down the tiles
    np.testing.assert_allclose(lines, [1, 15, 17, 31], atol=0.25)
    assert not grey[155:].any() and not grey[20:140, 20:140].any()


@pytest.mark.parametrize(("variable", "tiles"), [("thickness", 1 + 7 * 5), ("digit", 1 + 10 * 2)])
def test_every_tile_of_a_grid_has_a_frame(figures, variable, tiles):
    text = (figures / f"sweep_{variable}" / "01.svg").read_text()
    assert text.count(f'style="fill: none; stroke: {FAINT}') == tiles


def test_bins_of_a_curve_have_equal_numbers_of_questions():
    target = np.random.default_rng(0).normal(size=400)
    rows = pd.DataFrame({"true_thickness": target, "value": 2 * target})
    curve = _curve(rows, DATASET.variable("thickness"))
    assert curve.shape == (BINS, 3)
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0])
    assert curve[:, 0].mean() == pytest.approx(target.mean())
    rows = pd.DataFrame({"true_digit": [1, 1, 3], "value": [0.0, 1.0, 1.0]})
    np.testing.assert_allclose(_curve(rows, DATASET.variable("digit"))[:, :2], [[1, 0.5], [3, 1.0]])
    assert _curve(rows.head(0), DATASET.variable("digit")) is None


def test_colours_of_methods_do_not_depend_on_floor_and_ceiling():
    one, two = method_colours(["copy", "vae", "hvae", "truth"]), method_colours(["vae", "hvae"])
    assert one["vae"] == two["vae"] and one["hvae"] == two["hvae"] and len(set(one.values())) == 4


@pytest.mark.slow
def test_figures_are_reproducible_byte_for_byte(results, figures, tmp_path):
    again = make_figures(results, tmp_path / "again")
    for path in sorted(figures.rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(figures)).read_bytes(), path.name


def test_an_invalid_log_raises_an_error(results, tmp_path):
    path = tmp_path / "models" / "vae" / "seed0" / "log.csv"
    path.parent.mkdir(parents=True)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a training log"):
        make_figures(results, tmp_path / "figures", logs=[path])


@pytest.mark.parametrize("entries", [1, 4, 8, 9])
def test_a_title_is_above_all_rows_of_the_legend(entries):
    with matplotlib.rc_context(_SETTINGS | {"axes.titlelocation": "center"}):
        figure = Figure(figsize=(3.65, 2.5), layout="constrained")
        axes = add_axes(figure, "What it shows")
        for number in range(entries):
            axes.plot([0, 1], [0, number], label=f"Method {number}")
        add_legend(axes)
        figure.draw_without_rendering()
        title, legend = axes.title.get_window_extent(), axes.get_legend().get_window_extent()
    assert axes.title.get_text() == "What it shows"
    assert title.y0 >= legend.y1
