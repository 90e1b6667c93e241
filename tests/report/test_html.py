import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from counterfactory.core.errors import UserError
from counterfactory.report.html import _duration, _link, write_report
from tests.report.pretend import make_figures, make_tables

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Parses a page and checks that its tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def page(results, tables, figures, tmp_path_factory) -> Page:
    config = yaml.safe_load((results / "config.yaml").read_text())
    config["report"] = {"title": "Title <with> & signs", "images": 8}
    provenance = json.loads((results / "provenance.json").read_text())
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_report(tables, figures, config, results / "benchmarks", out, provenance)
    return Page(out.read_text())


def test_the_page_is_self_contained(page):
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "poster", "data", "background"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        if tag != "a":
            assert attributes.get("href", "data:").startswith("data:"), tag
        assert not any(name.startswith("on") for name in attributes)
    assert not page.all("script") and not page.all("iframe")
    style = page.text
    assert "@import" not in style and not re.search(r"url\(\s*['\"]?http", style)


def test_links_refer_to_the_page_or_to_a_source(page):
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for attributes in page.all("a"):
        href = attributes["href"]
        if not href.startswith(("https://", "explorer.html", "workflow.html")):
            assert href.startswith("#") and href[1:] in ids, href


def test_the_page_begins_with_the_graph_and_a_sweep(page):
    names = [tag for tag, _ in page.tags]
    first_section = next(
        k for k, (_, attributes) in enumerate(page.tags) if attributes.get("id") == "summary"
    )
    assert {"svg", "img"} <= set(names[:first_section])


def test_a_copy_in_another_folder_links_to_the_same_explorer(tables, figures, tmp_path):
    out, front = tmp_path / "results" / "set" / "report.html", tmp_path / "results" / "report.html"
    out.parent.mkdir(parents=True)
    write_report(tables, figures, {"dataset": "morphomnist"}, None, out, front=front)
    assert 'href="explorer.html"' in out.read_text() and 'href="set/explorer.html"' in front.read_text()


def test_ids_are_valid_and_unique(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[a-z][a-z0-9_-]*", name) for name in ids)


def test_images_are_embedded_and_have_alternative_texts(page):
    images = page.all("img")
    assert len(images) > 15
    for image in images:
        assert image["src"].startswith("data:image/") and len(image["alt"]) > 30
        assert int(image["width"]) > 0 and int(image["height"]) > 0


def test_heading_levels_are_not_skipped(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_tables_scroll_and_are_reachable_by_keyboard(page):
    regions = [attributes for attributes in page.all("div") if attributes.get("class") == "scroll"]
    assert len(regions) == len(page.all("table"))
    assert all(
        region["tabindex"] == "0" and region["aria-label"] and region["role"] == "region"
        for region in regions
    )


def test_rows_have_as_many_cells_as_the_header(page):
    width, counts = 0, []
    for tag, attributes in page.tags:
        if tag in ("table", "tr"):
            counts.append((width, tag))
            width = 0
        elif tag in ("td", "th"):
            width += int(attributes.get("colspan", 1))
    rows: list[int] = []
    for count, tag in [*counts[1:], (width, "table")]:
        if count:
            rows.append(count)
        if tag == "table":
            assert len(set(rows)) <= 1
            rows = []


def test_the_page_contains_configuration_and_results(page):
    text = re.sub(r"\s+", " ", page.text)
    for words in (
        "Title <with> & signs",
        "VAE and HVAE answered the same questions",
        "3f9c2a1d7e",
        "torch 2.13.0",
        "% of the gap between a copy of the input",
        "and the true counterfactual",
        "train judge",
        "There is one training seed",
        "slide values, under-review deck 2024",
        "Not directly comparable",
        "No true counterfactual exists under do(digit)",
        "residual_temperature: 1.0",
    ):
        assert words in text, words


def test_a_run_without_methods_sweeps_or_benchmarks_has_a_page(results, tmp_path):
    scores = tmp_path / "scores.csv"
    lines = (results / "scores" / "scores.csv").read_text().splitlines()
    scores.write_text(
        "\n".join(line for line in lines if ",vae," not in line and ",hvae," not in line) + "\n"
    )
    tables = make_tables(results, tmp_path / "tables", scores=scores, costs=[], judges=[], scm=[])
    (tmp_path / "questions").mkdir()
    changes = {
        "scores": scores,
        "rows": [],
        "costs": [],
        "logs": [],
        "judges": [],
        "questions": tmp_path / "questions",
    }
    figures = make_figures(results, tmp_path / "figures", **changes)
    write_report(tables, figures, {"methods": ["copy", "truth"]}, None, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert "No method was configured" in page.text


def test_the_page_names_the_sizes_of_the_splits_that_were_written(results, tables, figures, tmp_path):
    config = yaml.safe_load((results / "config.yaml").read_text())
    data, out = tmp_path / "set" / "data", tmp_path / "set" / "report.html"
    written = {"train": 607, "valid": 60, "judges": 198, "test": 1120}
    for split, count in written.items():
        (data / split).mkdir(parents=True)
        pd.DataFrame({"index": range(count)}).to_parquet(data / split / "attributes.parquet")
    write_report(tables, figures, config, None, out, {}, data=data)
    page = Page(out.read_text())
    shown = re.sub(r"\s+", " ", page.text.partition("residual_temperature")[0])
    assert "607 training images" in shown and "1,120 test images" in shown
    for words in ("Training images 607", "Validation images 60", "Judges' images 198", "Test images 1,120"):
        assert words.replace(" ", "") in shown.replace(" ", ""), words
    # The configured numbers are shown in the configuration only.
    assert "20,000" not in shown and "2,000 test images" not in shown and "Device of the answers" in shown
    write_report(tables, figures, config, None, out, {})
    assert "training images</span>" not in out.read_text() and "Training images" not in out.read_text()
    (data / "test" / "attributes.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"test/attributes\.parquet"):
        write_report(tables, figures, config, None, out, {}, data=data)


def test_the_notes_of_the_data_are_summarised_and_linked(tables, figures, tmp_path):
    data, out = tmp_path / "set" / "a b" / "data", tmp_path / "set" / "report.html"
    data.mkdir(parents=True)
    head = (
        "leaves.csv: 1,001 rows, 5 left out\nleft out: 2 x unreadable images\nnoticed: 1 x images: <CMYK>\n"
    )
    (data / "notes.txt").write_text(f"{head}\nrow 11: leaf_0010.jpg: CMYK\n")
    front = tmp_path / "report.html"
    write_report(tables, figures, {"dataset": "folder"}, None, out, {}, front=front, data=data)
    page = Page(out.read_text())
    for words in (*head.splitlines(), "Rows left out and images converted"):
        assert words in page.text, words
    assert "leaf_0010" not in page.text
    assert {"href": "a%20b/data/notes.txt"} in page.all("a")
    assert {"href": "set/a%20b/data/notes.txt"} in Page(front.read_text()).all("a")
    (data / "notes.txt").unlink()
    write_report(tables, figures, {"dataset": "folder"}, None, out, {}, data=data)
    assert "notes.txt" not in out.read_text()


def test_a_missing_file_raises_an_error(tmp_path):
    with pytest.raises(UserError, match=r"index\.json"):
        write_report(tmp_path, tmp_path, {}, None, tmp_path / "report.html", {})
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (41.2, "41 s"), (310, "5 min 10 s"), (59.9, "60 s"), (7500, "2 h 5 min")],
)
def test_durations_are_readable(seconds, words):
    assert _duration(seconds) == words


def test_addresses_become_links_and_other_text_is_escaped():
    assert _link("see https://a.org/b <x>.") == 'see <a href="https://a.org/b">a.org/b</a> &lt;x&gt;.'
    assert _link('"quoted" & done') == "&#34;quoted&#34; &amp; done"
