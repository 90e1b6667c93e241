"""A finished run at the smallest scale: every kind of file that steps read, and the steps that read it."""

from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from counterfactory.cli import main

CONFIG = """
results: results
dataset: pendulum
methods: [copy, vae, truth]
device: cpu
data: {train: 100, valid: 20, judges: 60, test: 20, image_size: 16}
scm: {steps: 6, hidden: [8]}
judges: {training: &brief {steps: 2, batch_size: 16, warmup: 1, valid_every: 1}}
oracle: {training: *brief}
attributes: {thick: null, bright: null, slanted: null, wide: null, tall: null, long: null, large: null,
  right: {of: angle, above: 2.0}}
models:
  vae: {network: {exposure: []}, training: *brief}
  hvae: {network: {resolutions: [8, 4, 2, 1], exposure: []}}
  causaldiffae: {network: {exposure: []}}
  classifier: {network: {width: 8, halvings: 2}, training: *brief}
questions:
  do: {images: 3, interventions: [angle]}
  null: {images: 2, cycles: [1]}
  reverse: {images: 2, interventions: [angle], cycles: [1]}
  sweep: {images: 1, values: 2}
  flip: {images: 3, attributes: [right], targets: {}, repeats: 2, repeat_images: 1}
answers: {chunk_size: 20, chunks: 1, batch_size: 10}
scores: {metrics: [effectiveness, axioms, truth, flip, mnac], bootstrap: {resamples: 20}}
"""
ANSWERED = {
    "copy": ["do", "null", "reverse", "flip"],
    "vae": ["do", "null", "reverse", "sweep", "flip"],
    "truth": ["do", "null", "reverse", "sweep", "flip"],
}
SUITES = ANSWERED["vae"]
VARIABLES = ["angle", "light", "shadow_length", "shadow_position"]
METRICS = ["effectiveness", "axioms", "truth", "flip", "mnac"]
RESULTS = Path("results/pendulum")


def run(*words: object) -> int:
    """Runs a command in the folder of the run, in this process."""
    return main([*map(str, words), "--config", "tiny.yaml"])


def chunk(suite: str) -> str:
    """Returns the name of the only chunk of a suite."""
    return f"000000-{len(pd.read_parquet(RESULTS / 'questions' / f'{suite}.parquet')):06d}"


def make() -> None:
    """Makes the run in the working folder."""
    Path("tiny.yaml").write_text(CONFIG)

    def step(*words: object) -> None:
        assert run(*words) == 0, words

    step("synthesise")
    for suite in SUITES:
        step("questions", suite)
    judges = [f"judges/{variable}" for variable in VARIABLES]
    for model in ["scm", "vae", "classifier", "oracle", *judges]:
        step("train", model)
    for method, suites in ANSWERED.items():
        for suite in suites:
            step("answer", method, suite, chunk(suite))
    for metric in METRICS:
        step("score", metric, *ANSWERED)
    step("summarise", *sorted((RESULTS / "scores").glob("*/seed0.parquet")))
    for command in ("tables", "figures", "report"):
        step(command)


SUMMARISE = ("summarise", *(f"results/pendulum/scores/{metric}/seed0.parquet" for metric in METRICS))
# Steps by the files that they read: the first lines of a file's name decide.
READERS: list[tuple[str, list[tuple[str, ...]]]] = [
    (
        "data/dataset.json",
        [("questions", "do"), ("answer", "copy", "do"), ("score", "axioms", "copy"), ("tables",)],
    ),
    ("data/train/attributes.parquet", [("questions", "do"), ("train", "scm")]),
    ("data/train/images.npy", [("train", "vae")]),
    ("data/valid/*", [("train", "vae")]),
    ("data/judges/*", [("train", "judges/angle"), ("train", "oracle")]),
    ("data/test/attributes.parquet", [("questions", "do"), ("questions", "flip"), ("answer", "truth", "do")]),
    ("data/test/images.npy", [("answer", "copy", "do"), ("score", "axioms", "copy")]),
    ("questions/do.parquet", [("answer", "truth", "do"), ("score", "truth", "copy")]),
    ("questions/flip.parquet", [("answer", "truth", "flip"), ("score", "flip", "copy")]),
    ("questions/sweep.parquet", [("answer", "truth", "sweep"), ("figures",)]),
    ("questions/*.parquet", [("answer", "copy", "{stem}"), ("score", "axioms", "copy")]),
    ("models/scm/*", [("answer", "vae", "do")]),
    ("models/vae/*/log.csv", [("figures",)]),
    ("models/vae/*", [("answer", "vae", "do"), ("tables",)]),
    ("models/classifier/*", [("score", "flip", "copy")]),
    ("models/oracle/*", [("score", "mnac", "copy")]),
    ("models/judges/*/log.csv", [("figures",)]),
    ("models/judges/*/model.json", [("score", "effectiveness", "copy"), ("tables",)]),
    ("models/judges/*", [("score", "effectiveness", "copy")]),
    ("answers/*.cost.json", [("tables",)]),
    ("answers/truth/*/do/*", [("score", "truth", "copy")]),
    ("answers/*/do/*", [("score", "effectiveness", "{method}"), ("score", "axioms", "{method}")]),
    ("answers/*/flip/*", [("score", "flip", "{method}")]),
    ("answers/*/sweep/*", [("figures",)]),
    ("answers/*", [("score", "axioms", "{method}")]),
    ("scores/scores.csv", [("tables",), ("figures",)]),
    ("scores/flip/*", [SUMMARISE, ("figures",)]),
    ("scores/*", [SUMMARISE]),
    ("tables/*.json", [("report",)]),
    ("figures/index.json", [("report",)]),
    ("figures/*/*.svg", [("report",)]),
    ("benchmarks/*", [("report",)]),
]


def readers(name: str) -> list[tuple[str, ...]]:
    """Returns the steps that read a file, by its name below the results of the data set; none if no step reads it."""
    path = Path(name)
    for pattern, steps in READERS:
        if fnmatch(name, pattern):
            values = {"stem": path.stem, "method": path.parts[1] if len(path.parts) > 1 else ""}
            return [tuple(word.format(**values) for word in step) for step in steps]
    return []
