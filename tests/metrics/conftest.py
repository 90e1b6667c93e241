"""A toy data set with questions and answers on disk, in the folders of the workflow."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.files import write_array, write_table
from counterfactory.data.dataset import Dataset, Variable, save_dataset
from counterfactory.metrics.resources import Resources
from counterfactory.metrics.run import score

VARIABLES = (
    Variable("thickness", "continuous", "px", 1.0, 5.0),
    Variable("intensity", "continuous", "grey levels", 64.0, 255.0),
    Variable("digit", "categorical", classes=10),
)


def toy_dataset(simulated: bool = True) -> Dataset:
    return Dataset("toy", VARIABLES, (("thickness", "intensity"),), (1, 32, 32), simulated)


class Place:
    """The folders of a toy run, with functions that write into them and score the answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.answers = folder / "data", folder / "answers"
        self.questions: dict[str, Path] = {}

    def write_split(self, split: str, images: np.ndarray, attributes: pd.DataFrame) -> None:
        write_array(self.data / split / "images.npy", images)
        write_table(self.data / split / "attributes.parquet", attributes)

    def write_questions(self, suite: str, rows: list[dict]) -> pd.DataFrame:
        """Writes questions: rows may set `index`, `intervention`, `protocol`, `cycles`, `steps`, `true_*`."""
        test = pd.read_parquet(self.data / "test" / "attributes.parquet")
        table = []
        for question, row in enumerate(rows):
            index = row.get("index", question)
            true = {f"true_{v.name}": float(test[v.name][index]) for v in VARIABLES}
            fixed = {"question": question, "suite": suite, "index": index, "seed": question}
            default = {"intervention": "none", "protocol": "", "cycles": 1, "steps": [{}]}
            table.append({**fixed, **default, **true, **row})
            table[-1]["steps"] = json.dumps(table[-1]["steps"])
        table = pd.DataFrame(table)
        self.questions[suite] = self.folder / "questions" / f"{suite}.parquet"
        write_table(self.questions[suite], table)
        return table

    def write_answers(
        self,
        method: str,
        questions: pd.DataFrame,
        images: np.ndarray,
        answered: np.ndarray | None = None,
        seed: int = 0,
        **own,
    ) -> Path:
        """Writes answers in two chunks; by default the method's own parents are the true ones."""
        folder = self.answers / method / f"seed{seed}"
        suite = questions["suite"][0]
        if answered is None:
            answered = np.ones(len(questions), dtype=bool)
        parents = {v.name: np.asarray(own.get(v.name, questions[f"true_{v.name}"]), float) for v in VARIABLES}
        parents = {name: np.where(answered, values, np.nan) for name, values in parents.items()}
        table = questions.assign(answered=answered, **parents)
        half = (len(questions) + 1) // 2
        for start, stop in ((0, half), (half, len(questions))):
            if start < stop:
                chunk = folder / suite / f"{start:06d}-{stop:06d}"
                write_array(chunk.with_suffix(".npy"), images[start:stop])
                write_table(chunk.with_suffix(".parquet"), table.iloc[start:stop])
        return folder

    def score(
        self,
        metric: str,
        methods: list[str],
        settings: SimpleNamespace,
        seed: int = 0,
        suites: dict[str, Path] | None = None,
        out: Path | None = None,
    ) -> pd.DataFrame:
        """Scores answers to all suites (or to some) and returns the table."""
        out = out or self.folder / "scores.parquet"
        resources = Resources(settings, self.data, self.folder / "models", seed)
        score(metric, methods, self.questions if suites is None else suites, self.answers, resources, out)
        return pd.read_parquet(out)


@pytest.fixture
def place(tmp_path) -> Place:
    """A test split of 6 random images without extreme grey levels, so that a shift does not wrap around."""
    place = Place(tmp_path)
    save_dataset(place.data, toy_dataset())
    rng = np.random.default_rng(0)
    images = rng.integers(20, 200, (6, 1, 32, 32), dtype=np.uint8)
    attributes = {
        "thickness": np.linspace(1.5, 4.0, 6),
        "intensity": np.linspace(80.0, 240.0, 6),
        "digit": np.arange(6),
    }
    place.write_split("test", images, pd.DataFrame({"index": np.arange(6), **attributes}))
    place.images = images
    return place


@pytest.fixture
def settings() -> SimpleNamespace:
    return SimpleNamespace(
        lpips=SimpleNamespace(net="alex", questions=200),
        bootstrap=SimpleNamespace(resamples=200, level=0.95, seed=0),
        effectiveness=SimpleNamespace(targets="true"),
    )
