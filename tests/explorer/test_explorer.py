"""The explorer in a real browser, from a file: no errors, no requests, answers as in Python, keyboard and phone."""

import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from counterfactory.api.checks import outside_values
from counterfactory.core.files import write_json
from counterfactory.data.dataset import encode_parents, load_dataset, load_split
from counterfactory.data.typical import CARRIED, INVERTED, fit_typical, ranges
from counterfactory.report.explorer.blobs import pack, quantised, sheet, shrunk
from tests.explorer.browser import Page, executable
from tests.explorer.pages import METHODS, READY, asked, opened, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no Chromium is installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def more(run, tmp_path_factory):
    """The run with a second training seed, whose answers are the same, and with queries."""
    folder = tmp_path_factory.mktemp("more") / "pendulum"
    shutil.copytree(run, folder)
    for suite in (folder / "answers" / "vae" / "seed0").iterdir():
        other = folder / "answers" / "vae" / "seed1" / suite.name
        shutil.copytree(suite, other)
        for path in other.glob("*.parquet"):
            table = pd.read_parquet(path)
            table.attrs["seed"] = 1  # where an answer is from
            table.to_parquet(path)
    for path in folder.glob("scores/*/seed0.parquet"):
        table = pd.read_parquet(path)
        table[table["method"] == "vae"].assign(seed=1).to_parquet(path.with_name("seed1.parquet"))
    for seed in (0, 1):
        place = folder / "queries" / f"seed{seed}"
        place.mkdir(parents=True)
        query = {"given": {}, "premise": {"right": 1}, "by": "do", "generator": "dcgan", "unanswered": ""}
        (place / "turn.json").write_text(json.dumps(query | {"name": "turn"}))
        table = pd.DataFrame(
            {
                "index": -1,
                "actual": [0, 0, 0, 0],
                "stickiness": [np.nan, 0.5, 0.9, 0.9],
                "sample": [0, 0, 0, 1],
                "reached": [True, True, True, False],
                "kept": [1.0, 0.5, 0.75, 0.0],
                "log_evidence": [np.nan, -0.5, -1.0, -2.0],
            }
        )
        table.to_parquet(place / "turn.parquet")
        shape = load_dataset(run / "data").shape
        np.save(place / "turn.npy", np.stack([np.full(shape, grey, np.uint8) for grey in (100, 110, 130, 0)]))
        (place / "hard.json").write_text(json.dumps(query | {"name": "hard", "unanswered": "no such image"}))
        table.head(0).to_parquet(place / "hard.parquet")
        np.save(place / "hard.npy", np.zeros((0, *shape), np.uint8))
    return folder


def test_answers_as_python_does(run, page):
    from counterfactory.methods.dscm import Pearl, counterfactual_image
    from counterfactory.models.image.model import load_image_mechanism
    from counterfactory.nets.pixels import to_bytes, to_pixels
    from counterfactory.scm.fit import load_scm

    dataset, test = load_dataset(run / "data"), load_split(run / "data", "test")
    mechanism = load_image_mechanism(run / "models" / "vae" / "seed0", dataset)
    scm = load_scm(run / "models" / "scm" / "seed0", dataset)
    noise = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)
    with Page() as window:
        opened(page, window)
        for k, action in ((0, {"angle": 0.4}), (1, {"light": 60.0, "angle": -0.3}), (2, {})):
            row = window.evaluate(f"explorer.content.examples.rows[{k}]")
            before = {name: np.array([test.attributes[name].iloc[row]]) for name in dataset.names}
            do = {name: np.array([action.get(name, np.nan)]) for name in dataset.names}
            after = scm.counterfactual_table(before, do, [0])
            x = to_pixels(np.array(test.images[row : row + 1]))
            encoded = [torch.from_numpy(encode_parents(dataset, one)) for one in (before, after)]
            settings = Pearl(1.0, 0.7)
            expected = to_bytes(
                counterfactual_image(mechanism, x, *encoded, [torch.from_numpy(noise)], settings)
            )
            found = window.evaluate(
                f"""(async () => {{
                    const image = explorer.sheets.examples.tile({k}), before = explorer.content.examples.parents[{k}];
                    const after = await explorer.networks.parents(before, {json.dumps(action)});
                    const dials = {{residual_temperature: 0.7, latent_temperature: 1, stickiness: 1}};
                    const noise = Float32Array.from({json.dumps(noise[0].tolist())});
                    const method = explorer.content.networks.methods[0];
                    return [after, [...await explorer.networks.answer(method, image, before, after, dials, 0, noise)]];
                }})()"""
            )
            for name in dataset.names:
                assert found[0][name] == pytest.approx(float(after[name][0]), rel=1e-4, abs=1e-3)
            assert np.abs(np.array(found[1]) - expected.numpy().ravel().astype(int)).max() <= 1


def test_unpacks_lzma(page):
    random = np.random.default_rng(0)
    words = [random.bytes(int(size)) for size in random.integers(2, 40, 60)]
    data = b"".join(words[k] for k in random.integers(0, 60, 3000)) + random.bytes(500) + bytes(1000)
    with Page() as window:
        opened(page, window)
        for one in (data, b"a", b"", b"ab" * 400):
            packed = json.dumps(list(shrunk(one)))
            assert bytes(window.evaluate(f"[...unlzma(Uint8Array.from({packed}))]")) == one


def test_works_from_a_file_without_network_and_errors(page):
    with Page() as window:
        opened(page, window)
        shown = window.evaluate("[...document.querySelectorAll('.answer h4')].map((one) => one.textContent)")
        assert shown == ["Image", "Truth", "VAE"]
        assert window.evaluate("document.querySelectorAll('.arrow.cut, .diff').length") == 0
        assert "Nothing is set" in window.evaluate("document.getElementById('said').textContent")
        window.evaluate("document.getElementById('set-shadow_length').click()")
        window.wait(READY)
        # The arrow from each cause and from the noise.
        assert window.evaluate("document.querySelectorAll('.into-shadow_length.cut').length") == 3
        assert "do(shadow_length)" in window.evaluate("document.getElementById('graph').textContent")
        assert window.evaluate("document.querySelectorAll('.diff').length") > 0
        assert window.evaluate("document.getElementById('said').textContent") == ""
        assert window.evaluate("document.querySelectorAll('#found .hit').length") > 0
        assert window.errors == [] and asked(window) == []


def test_an_image_that_is_dropped_or_opened(run, page):
    shape = load_dataset(run / "data").shape
    place = {
        "drop": "new DragEvent('drop', {dataTransfer: transfer, cancelable: true})",
        "file": "new Event('change')",
    }
    with Page() as window:
        opened(page, window)
        window.evaluate("document.getElementById('own').open = true")
        for number, (how, event) in enumerate(place.items()):
            # The left half is bright, the right half dark; the second image is the other way round.
            window.evaluate(
                f"""(async () => {{
                    window.before = explorer.image;
                    const canvas = new OffscreenCanvas(64, 64), context = canvas.getContext("2d");
                    context.fillStyle = "#000"; context.fillRect(0, 0, 64, 64);
                    context.fillStyle = "#fff"; context.fillRect({32 * number}, 0, 32, 64);
                    const transfer = new DataTransfer();
                    transfer.items.add(new File([await canvas.convertToBlob()], "mine.png", {{type: "image/png"}}));
                    const target = document.getElementById("{"pad" if how == "drop" else "file"}");
                    if ("{how}" === "file") target.files = transfer.files;
                    target.dispatchEvent({event});
                }})()"""
            )
            window.wait("explorer.image !== window.before && " + READY)
            assert window.evaluate("explorer.example") == -1
            image = np.array(window.evaluate("[...explorer.image]")).reshape(shape)
            # The middle is smooth.
            quarter = shape[2] // 4
            left, right = image[..., :quarter].mean(), image[..., -quarter:].mean()
            assert (left, right) == pytest.approx((255, 0) if number == 0 else (0, 255), abs=1)
            window.evaluate("document.querySelector('#examples button').click()")
            window.wait("explorer.example === 0 && " + READY)
        window.evaluate(
            """(() => {
                const transfer = new DataTransfer();
                transfer.items.add(new File(["no image"], "notes.txt", {type: "text/plain"}));
                const event = new DragEvent("drop", {dataTransfer: transfer, cancelable: true});
                document.getElementById("pad").dispatchEvent(event);
            })()"""
        )
        window.wait("document.getElementById('said').textContent.startsWith('notes.txt: not an image')")
        assert window.evaluate("explorer.example") == 0
        assert window.errors == [] and asked(window) == []


def test_one_own_image(run, page):
    with Page() as window:
        opened(page, window)
        window.evaluate("document.getElementById('own').open = true")
        window.evaluate("explorer.takePad()")
        window.wait(READY)
        assert "no true counterfactual" in window.evaluate("document.getElementById('answers').textContent")
        # The same line as that of Python, for the same image: a black one.
        test = load_split(run / "data", "train")
        typical = fit_typical(test.images)
        black = np.zeros((1, *test.images.shape[1:]), np.uint8)
        for image in (black, 255 - black, np.array(test.images[:1])):
            own, other = typical.distance(image)[0], typical.distance(255 - image)[0]
            pixels = json.dumps(image.ravel().tolist())
            window.evaluate(f"explorer.image = Float32Array.from({pixels})")
            found = window.evaluate("explorer.distance(explorer.image)")
            assert found == pytest.approx(own, rel=1e-2)  # 16-bit components
            lines = window.evaluate("explorer.atypical()")
            if own <= typical.limit:
                assert lines == []
            elif other < own:
                assert len(lines) == 1 and lines[0].startswith(f"image{INVERTED}")
            else:
                assert (
                    len(lines) == 1
                    and CARRIED in lines[0]
                    and f"typical up to {typical.limit:.3g}" in lines[0]
                )
        assert window.evaluate("document.querySelectorAll('input.factual').length") == 4
        assert window.errors == []


def test_keyboard(page):
    with Page() as window:
        opened(page, window)
        window.evaluate("document.querySelector('#variables input[type=range]').focus()")
        before = window.evaluate("document.activeElement.value")
        window.key("ArrowRight", 39)
        window.wait(READY)
        assert window.evaluate("document.activeElement.value") != before
        assert (
            window.evaluate("Object.keys(explorer.action).length") == 1
        )  # moving a slider sets its variable
        window.evaluate("document.querySelectorAll('#examples button')[3].focus()")
        window.key("Enter", 13, "\r")
        window.wait(READY)
        assert window.evaluate("explorer.example") == 3
        assert window.errors == []


def test_a_link_opens_the_worst_answers_first(run, page):
    with Page() as window:
        opened(page, window, "#browse:suite=do&method=vae&intervention=angle&metric=truth_l1")
        window.wait("document.querySelectorAll('#found .hit').length > 0")
        top = window.evaluate("document.getElementById('browse').getBoundingClientRect().top")
        at_end = "scrollY + innerHeight >= document.documentElement.scrollHeight - 2"
        assert abs(top) < 40 or window.evaluate(at_end)  # a short list cannot be scrolled to the top
        values = window.evaluate("browser.hits.map((one) => one.value)")
        assert values == sorted(values, reverse=True) and len(values) == 6
        assert window.errors == []


def test_a_value_outside_of_the_training_data_has_the_line_of_python(run, page):
    dataset, known = load_dataset(run / "data"), ranges(run / "data", load_dataset(run / "data"))
    with Page() as window:
        opened(page, window)
        window.evaluate("explorer.action = {light: 500}; explorer.update()")
        window.wait(READY)
        line = outside_values(dataset, {"variables": known}, {}, [{"light": 500.0}])[0]
        assert line in window.evaluate("document.getElementById('said').textContent")
        middle = (known["light"]["low"] + known["light"]["high"]) / 2
        window.evaluate(f"explorer.action = {{light: {middle}}}; explorer.update()")
        window.wait(READY)
        assert "light" not in window.evaluate("document.getElementById('said').textContent")


def test_all_training_seeds_and_queries_are_listed(more, tmp_path):
    page = write(more, tmp_path / "explorer.html", None, seeds=(0, 1))
    with Page() as window:
        opened(page, window, "#browse:suite=do&method=vae&metric=truth_l1")
        window.wait("document.querySelectorAll('#found .hit').length > 0")
        both = window.evaluate("browser.hits.map((one) => one.method.seed)")
        assert both.count(0) == both.count(1) > 0
        assert "training seed 1" in window.evaluate("document.getElementById('found').textContent")
        window.evaluate(
            "(() => { const s = document.getElementById('filter-seed'); s.value = '1'; s.onchange(); })()"
        )
        window.wait("browser.hits.every((one) => one.method.seed === 1)")
        assert window.evaluate("browser.hits.length") == both.count(1)
        window.evaluate(
            "(() => { const s = document.getElementById('filter-suite'); s.value = 'query'; s.onchange(); })()"
        )
        window.wait("document.getElementById('found').textContent.includes('query turn')")
        # Two seeds with two answers that were found each; the third one was not reached.
        values = window.evaluate("browser.hits.map((one) => Math.round(one.value))")
        assert values == [30, 30, 10, 10]
        text = window.evaluate("document.getElementById('count').textContent")
        assert "hard, training seed 0: no such image" in text
        assert window.evaluate("document.querySelectorAll('#found .two').length") == 4
        assert window.errors == [] and asked(window) == []


def test_only_methods_seeds_and_queries_of_the_run_are_listed(more):
    from counterfactory.report.explorer.browse import Shown, browse

    rows = sorted(more.glob("scores/*/seed*.parquet"))
    arguments = (more / "data", more / "questions", more / "answers", rows, load_dataset(more / "data"))
    listed, _ = browse(*arguments, Shown(["copy", "truth"], (0, 1)))
    assert listed["suites"] == []
    listed, _ = browse(*arguments, Shown(METHODS, (1,)))
    assert {(one["name"], one["seed"]) for suite in listed["suites"] for one in suite["methods"]} == {
        ("vae", 1)
    }
    assert all(suite["truth"] for suite in listed["suites"] if suite["suite"] == "do")
    listed, _ = browse(*arguments, Shown([], (), sorted(more.glob("queries/seed0/*.json"))))
    assert [suite["suite"] for suite in listed["suites"]] == ["query"]


def test_phone(page):
    with Page(390, 844, phone=True) as window:
        opened(page, window)
        window.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert window.evaluate("document.documentElement.scrollWidth") <= 390
        assert window.errors == []


def test_without_runtime_the_page_says_so(run, tmp_path):
    runtime = tmp_path / "runtime.json"
    write_json(runtime, {"version": "1", "missing": "the registry cannot be reached"})
    page = write(run, tmp_path / "explorer.html", runtime)
    with Page() as window:
        opened(page, window)
        assert "the registry cannot be reached" in window.evaluate("document.body.innerText")
        window.evaluate("document.getElementById('set-angle').click()")
        window.wait(READY)
        window.evaluate("document.getElementById('set-light').click()")
        window.wait(READY)
        assert window.evaluate("Object.keys(explorer.action)") == ["light"]  # one at a time
        shown = window.evaluate("[...document.querySelectorAll('.answer h4')].map((one) => one.textContent)")
        assert shown == ["Image", "Truth", "VAE"] and window.errors == []


def test_too_many_large_images_are_left_out_and_said(run, monkeypatch):
    from counterfactory.report.explorer import browse as module

    rows = sorted(run.glob("scores/*/seed0.parquet"))
    shown = module.Shown(METHODS)
    arguments = (run / "data", run / "questions", run / "answers", rows, load_dataset(run / "data"), shown)
    whole, pictures = module.browse(*arguments)
    assert whole["left_out"] == 0
    monkeypatch.setattr(module, "LIMIT", 500)
    few, smaller = module.browse(*arguments)
    assert few["left_out"] > 0 and sum(map(len, smaller.values())) < sum(map(len, pictures.values()))
    # Lengths of runs: answers that are not listed are those of the last questions.
    first, second = (one["suites"][0]["methods"][0]["answered"] for one in (whole, few))
    assert sum(second) == sum(first) and sum(second[1::2]) < sum(first[1::2])
    # The same where the rest of the page leaves no room.
    monkeypatch.undo()
    monkeypatch.setattr(module, "LEAST", 500)
    full, _ = module.browse(*arguments[:-1], module.Shown(METHODS, room=0))
    assert full["left_out"] == few["left_out"]


def test_sheets_stay_within_the_limits_of_pictures():
    images = np.zeros((600, 1, 256, 128), np.uint8)
    images[-1] = 255
    picture = Image.open(io.BytesIO(sheet(images, 5)))
    columns = picture.width // 128
    assert max(picture.size) <= 16_383 and columns * (picture.height // 256) >= 600
    x, y = 599 % columns * 128, 599 // columns * 256
    assert np.asarray(picture)[y : y + 256, x : x + 128].min() > 200


def test_packing():
    assert not re.search(r"[<\\\"']", pack(np.random.default_rng(0).bytes(10_000)))
    whole, low, step = quantised(np.array([0.0, 1.0, np.nan, 0.25]))
    assert whole[2] == 65_535 and low + step * whole[[0, 1, 3]] == pytest.approx([0, 1, 0.25], abs=1e-4)
