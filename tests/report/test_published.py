import pandas as pd
import pytest
import yaml

from counterfactory.core.errors import UserError
from counterfactory.data.dataset import Dataset
from counterfactory.report.cells import Scores
from counterfactory.report.published import PUBLISHED, read_published
from counterfactory.report.published_tables import ThisRun, published_tables

SOURCES, STUDIES = read_published()
VALUES = [(study, value) for study in STUDIES for value in study.values]


def test_every_value_has_unit_protocol_source_size_and_verdict():
    for study, value in VALUES:
        source = SOURCES[study.source]
        assert value.unit and source.citation and source.link.startswith("https://")
        assert len(study.protocol) > 20 and len(study.why) > 20 and isinstance(study.comparable, bool)
        assert study.dataset.name and study.dataset.test


def test_every_source_is_used_and_values_are_unique():
    assert {study.source for study in STUDIES} == set(SOURCES)
    keys = [
        (study.source, v.method, v.suite, v.intervention, v.protocol, v.cycles, v.metric)
        for study, v in VALUES
    ]
    assert len(keys) == len(set(keys))


def test_values_are_within_the_range_of_their_unit():
    ranges = {
        "px": (0, 6),
        "grey levels": (0, 255),
        "share": (0, 1),
        "LPIPS": (0, 2),
        "nats": (-10, 10),
        "F1": (0, 1),
    }
    ranges |= {"FID": (0, 100), "attributes": (1, 40), "CD": (0, 80), "COUT": (-1, 1), "CLD": (0, 1)}
    for _, value in VALUES:
        low, high = ranges[value.unit]
        assert low <= value.value <= high, value


def test_values_of_slides_are_labelled():
    slides = [source for source in SOURCES.values() if source.kind == "slides"]
    assert slides and all("slide values, under-review deck" in source.note for source in slides)


@pytest.mark.parametrize(
    ("method", "suite", "what", "cycles", "metric", "value"),
    [
        ("HVAE", "do", "digit", 1, "predicted_digit", 0.972),
        ("VAE", "do", "intensity", 1, "predicted_intensity", 5.33),
        ("GAN", "null", "none", 10, "lpips", 0.184),
        ("HVAE", "null", "none", 1, "l1", 0.438),
        ("HVAE", "do", "every", 1, "do_fid", 5.362),
        ("GAN", "do", "every", 1, "minimality", 0.286),
        ("rectified flow", "do", "random", 1, "measured_intensity", 3.38),
        ("parents", "mechanisms", "none", 1, "total", 1.8936),
        ("DiME", "flip", "smiling", 1, "mnac", 3.72),
        ("MaskDiME", "flip", "smiling", 1, "flip_rate", 1.0),
        ("DiVE", "flip", "young", 1, "fid", 33.8),
    ],
)
def test_some_values(method, suite, what, cycles, metric, value):
    found = [
        v.value
        for _, v in VALUES
        if (v.method, v.suite, v.intervention, v.cycles, v.metric) == (method, suite, what, cycles, metric)
    ]
    assert value in found


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("studies", 0), "source"),
        (("studies", 0), "protocol"),
        (("studies", 0), "why"),
        (("studies", 0), "comparable"),
        (("studies", 0, "dataset"), "train"),
        (("studies", 0, "values", 0), "unit"),
        (("sources", "melistas2024"), "link"),
    ],
)
def test_a_missing_key_raises_an_error_with_its_name(tmp_path, path, key):
    content = yaml.safe_load(PUBLISHED.read_text())
    node = content
    for step in path:
        node = node[step]
    del node[key]
    file = tmp_path / "published.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=key) as caught:
        read_published(file)
    assert "\n" not in str(caught.value)


def test_an_unknown_source_raises_an_error(tmp_path):
    content = yaml.safe_load(PUBLISHED.read_text())
    content["studies"][0]["source"] = "nobody"
    file = tmp_path / "published.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="nobody"):
        read_published(file)


def test_faces_have_studies_of_their_own():
    faces = [study for study in STUDIES if study.datasets == ("celeba",)]
    found = {(v.method, v.ours, v.intervention, v.metric): v.value for study in faces for v in study.values}
    assert found["DiME", "dime", "Smiling", "fva"] == 0.983
    assert found["HVAE", "hvae", "Eyeglasses", "f1_Smiling"] == 0.997
    assert found["GAN", "gan", "Eyeglasses", "f1_Eyeglasses"] == 0.891
    assert not any(study.comparable for study in faces)


def run_with(metrics: dict[str, list[float]]) -> ThisRun:
    """Returns a run whose HVAE has scores of two interventions."""
    rows = [
        {"dataset": "morphomnist", "method": "hvae", "seed": 0, "suite": "do", "intervention": what}
        | {"protocol": "other_bin", "cycles": 1, "metric": metric, "n": 9, "reason": ""}
        | {"value": value, "low": value - 1, "high": value + 1}
        for metric, values in metrics.items()
        for what, value in zip(("thickness", "digit"), values, strict=True)
    ]
    dataset = Dataset("morphomnist", (), (), (1, 32, 32), True)
    return ThisRun(Scores(pd.DataFrame(rows)), dataset, {}, [])


def test_values_of_all_interventions_are_compared_with_the_mean():
    [study] = [one for one in STUDIES if one.only_with_ours]
    run = run_with({"do_fid": [30.0, 50.0], "minimality": [0.2, 0.3]})
    assert run.shows(study)
    [table] = published_tables(run, SOURCES, [study])
    rows = {row.name: [cell.value for cell in row.cells] for row in table.rows}
    assert rows["HVAE, published"] == [5.362, 0.272]
    assert rows["HVAE, this run"] == [pytest.approx(40.0), pytest.approx(0.25)]
    assert [column.title for column in table.columns] == ["mean over interventions"] * 2
    # Other runs do not have the table, so that it does not change theirs.
    assert not run_with({"l1": [1.0, 2.0]}).shows(study)
