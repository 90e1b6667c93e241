"""The page of a data set that is not simulated: no sentence on true counterfactuals, and the caveats that it needs."""

import re
import shutil
from dataclasses import replace
from html import unescape

import pytest
import yaml

from counterfactory.config.answers import AnswersSettings
from counterfactory.data.dataset import save_dataset
from counterfactory.report.caveats import caveats
from counterfactory.report.html import write_report
from tests.report.pretend import DATASET, make_figures, make_tables, pretend_results

METHODS = ("copy", "vae", "hvae")


def sentences(path):
    """Returns the visible text of a page, one line per element."""
    text = re.sub(r"<style>.*?</style>", "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "\n", text))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Tables, figures and configuration of results without rendered counterfactuals."""
    folder = tmp_path_factory.mktemp("photographs")
    results = pretend_results(folder / "folder", methods=METHODS, images=24, sweep=1)
    dataset = replace(DATASET, name="folder", simulated=False)
    save_dataset(results / "data", dataset)
    shutil.copytree(
        results / "data" / "test", results / "data" / "train"
    )  # for the base rates of binary variables
    scores = results / "scores" / "scores.csv"
    lines = scores.read_text().splitlines()
    kept = [line for line in lines if not re.search(r"truth|measured", line)]
    scores.write_text("\n".join(kept) + "\n")
    for path in results.glob("scores/measured"):
        path.rename(folder / "measured")
    config = yaml.safe_load((results / "config.yaml").read_text())
    config |= {"dataset": "folder", "methods": list(METHODS)}
    return dataset, make_tables(results, folder / "tables"), make_figures(results, folder / "figures"), config


@pytest.fixture(scope="module")
def page(stored, tmp_path_factory):
    dataset, tables, figures, config = stored
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_report(tables, figures, config, None, out, {}, graph=dataset)
    return sentences(out)


def test_no_sentence_on_what_does_not_exist(page):
    for words in (
        "rendered true counterfactual",
        "resemble those of the truth",
        "renders the true counterfactual",
        "the same measurement of the true counterfactual",
        "loor and ceiling are",
        "L1 to truth",
        "to the score of the true counterfactual",
        "is the score of the true counterfactual",
        "is not determined",
        "truth is the rendered",
        "handwrit",
        "would be written",
        "process that generated the data.",
        "do not depend on judges",
        "by measuring the pixels",
    ):
        assert words not in page, words


def test_the_sentences_that_replace_them(page):
    for words in (
        "There is no ceiling: the true counterfactuals of these images are not known",
        "the floor is excluded",
        "No true counterfactual is known: the data set is not simulated.",
        "The data set is not simulated: no true counterfactual of its images is known",
        "100 % is the score of the judge on real images",
        "how would this image look",
    ):
        assert words in re.sub(r"\s+", " ", page), words


def test_a_simulated_data_set_keeps_its_sentences(stored, tables, figures, tmp_path):
    config = stored[-1] | {"dataset": "morphomnist", "methods": [*METHODS, "truth"]}
    write_report(tables, figures, config, None, tmp_path / "report.html", {}, graph=DATASET)
    text = re.sub(r"\s+", " ", sentences(tmp_path / "report.html"))
    for words in ("a ceiling, the scores of the rendered true", "resemble those of the truth", "L1 to truth"):
        assert words in text, words


def test_imported_judges_are_not_said_to_be_trained_here(stored, tmp_path):
    dataset, tables, figures, config = stored
    config = config | {"judges": {"weights": {"thickness": "published.pt"}, "confounded": True}}
    write_report(tables, figures, config, None, tmp_path / "report.html", {}, graph=dataset)
    text = re.sub(r"\s+", " ", sentences(tmp_path / "report.html"))
    assert "trained on images that no method has seen" not in text
    assert "its weights were imported for thickness, and their training images are not known" in text
    assert (
        "The judges of thickness were imported; their training images are not known. The others were" in text
    )
    assert "The judges of thickness were not trained in this run but imported." in text
    assert "causes and effects go together as in the data" in text


@pytest.mark.parametrize(
    "methods,words,absent",
    [
        (["copy", "hvae"], "multiplied by 1 here. Published", "HVAE"),
        (["hvae", "hvae_reduced"], "multiplied by 1 here, and by 0.3 for HVAE, residual x 0.1.", "none"),
        (["hvae_reduced"], "it is multiplied by 0.3 for HVAE, residual x 0.1.", "by 1 here"),
        (["copy", "dime"], "", "Composition"),
    ],
)
def test_the_caveat_on_the_residual_names_every_method(methods, words, absent):
    answers = AnswersSettings(reduced={"residual_temperature": 0.3}).model_dump(mode="json")
    text = " ".join(caveats({}, {"methods": methods, "answers": answers}))
    assert words in text and absent not in text
    assert ("a null intervention then changes the image" in text) == ("hvae_reduced" in methods)


@pytest.mark.parametrize("exists", [False, True])
def test_the_report_of_snakemake_is_linked(stored, tmp_path, exists):
    dataset, tables, figures, config = stored
    out = tmp_path / "results" / "folder" / "report.html"
    out.parent.mkdir(parents=True)
    if exists:
        (out.parent / "workflow.html").write_text("")
    write_report(
        tables, figures, config, None, out, {}, graph=dataset, front=tmp_path / "results" / "report.html"
    )
    assert f"snakemake --report {out.parent / 'workflow.html'}" in out.read_text()
    assert 'href="workflow.html"' in out.read_text()
    assert ("It was not written with this page" in out.read_text()) != exists
    assert 'href="folder/workflow.html"' in (tmp_path / "results" / "report.html").read_text()
