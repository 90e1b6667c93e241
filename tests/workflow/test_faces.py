"""The presets of faces: plans, refusals, and (slow) the whole workflow on drawn faces."""

import json
import shutil

import pandas as pd
import pytest

from tests.faces import write_faces
from tests.workflow.test_workflow import PRESETS, ROOT, plan, snakemake


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("celeba"), identities=140)


def over(folder, celeba):
    """Writes the folder of the faces as configuration, and returns the words that configure `folder`."""
    shutil.copy(ROOT / "config.yaml", folder)
    path = folder / "celeba.yaml"
    path.write_text(f"data: {{celeba: {{folder: {celeba}}}}}\n")
    return path


def as_if_read(results):
    """Writes the description of the data set, so that the few drawn faces are not counted."""
    (results / "celeba" / "data").mkdir(parents=True)
    (results / "celeba" / "data" / "dataset.json").touch()


@pytest.mark.parametrize("preset", ["faces", "faces_smoke", "faces_paper"])
def test_every_preset_of_faces_has_a_plan(tmp_path, celeba, preset):
    words = ("--configfile", PRESETS / f"{preset}.yaml", over(tmp_path, celeba))
    results = f"results/{preset}"
    if preset != "faces_smoke":
        done = snakemake(tmp_path, "-n", *words, check=False)
        said = done.stdout + done.stderr
        assert (
            done.returncode
            and "but partition 0 has 336 images" in said
            and "set for example data.train: " in said
        )
        as_if_read(tmp_path / results)
    _, every = plan(tmp_path, *words)
    assert f"{results}/report.html" in every and f"{results}/celeba/data/test/images.npy" in every
    assert not any("/digits/" in name for name in every)
    queries = {name for name in every if "/queries/seed0/scores/" in name}
    assert len(queries) == (0 if preset == "faces_paper" else 6)


def test_without_a_folder_nothing_is_planned(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    done = snakemake(tmp_path, "-n", "--configfile", PRESETS / "faces.yaml", check=False)
    assert done.returncode and "data.celeba.folder: is null; name the folder" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_whole_workflow_on_drawn_faces(tmp_path, celeba, forked):
    snakemake(tmp_path, "--configfile", PRESETS / "faces_smoke.yaml", over(tmp_path, celeba))
    results = tmp_path / "results" / "faces_smoke" / "celeba"
    # The suite null is a name, not a missing value.
    scores = pd.read_csv(results / "scores" / "scores.csv", keep_default_na=False, na_values=[""])
    null = scores[(scores["suite"] == "null") & (scores["metric"] == "l1") & (scores["cycles"] == 1)]
    composition = null.set_index("method")["value"]
    # With the whole residual, the empty intervention returns the image; with a tenth of it, the model's reconstruction.
    assert composition["hvae"] < 1.0 < composition["hvae_reduced"]
    assert {"f1_Smiling", "f1_Young", "predicted_Eyeglasses"} <= set(scores["metric"])
    flips = scores[(scores["suite"] == "flip") & (scores["metric"] == "flip_rate")]
    assert {"dime", "fastdime", "dime_x", "gan_esm"} <= set(flips["method"])
    identity = json.loads((results / "models" / "identity" / "model.json").read_text())
    assert identity["sources"]["measured"] > 3 and 0.0 <= identity["verification"]["measured"]["auc"] <= 1.0
    query = (results / "tables" / "query_moustache.md").read_text()
    assert "In the train split" in query or "the classifier predicts" in query
    page = (tmp_path / "results" / "faces_smoke" / "report.html").read_text()
    assert "Given not Male" in page and "Melistas" in page
