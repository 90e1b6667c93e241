"""What the rules share: the checked configuration, and which files it asks for."""

import gc
import json
import os
import sys
from functools import cache
from inspect import signature
from pathlib import Path

# Steps run this checkout's package, by this very Python unless a software environment is deployed.
PACKAGE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, PACKAGE)
os.environ.update(
    # An empty part would stand for the working folder.
    PYTHONPATH=os.pathsep.join(filter(None, [PACKAGE, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])),
    # Nothing is imported from the working folder: a `random.py` there would be run by every step.
    PYTHONSAFEPATH="1",
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    # Where bytecode files are forbidden, every step would compile all it imports anew: seconds of CPU each.
    PYTHONDONTWRITEBYTECODE="",
)

# A plan is made of millions of objects that all stay: to look through them for garbage takes a fifth of its time.
gc.set_threshold(200_000, 50, 100)

from counterfactory.config import load_settings
from counterfactory.config.explainers import EXPLAINERS
from counterfactory.config.cross_checks import warnings_of
from counterfactory.data.registry import DATASETS
from counterfactory.core.errors import UserError
from counterfactory.methods.registry import METHODS, module_of
from counterfactory.questions.registry import SUITES
from counterfactory.metrics.registry import METRICS
from counterfactory.pretrained.sources import pretrained, weights_given
from counterfactory.core.provenance import code_hash, imported_modules
from counterfactory.answers.recovery import remove_recovery_copies

try:
    SETTINGS = load_settings(config)
except UserError as error:
    # One line is all a user needs to mend it; a traceback of the workflow would bury it.
    sys.exit(str(error))

if workflow.is_main_process:
    for remark in warnings_of(SETTINGS):
        print(f"config: {warning}", file=sys.stderr)

DATASET = DATASETS[SETTINGS.dataset]
VARIABLES = list(DATASET.classes)
ASKED = [suite for suite in SUITES if SETTINGS.questions.count(suite, SETTINGS.dataset)]
# What may be done is decided here, once: an optional step that is off, or asked by nobody, is not in the graph.
USED_METRICS = [
    name
    for name in SETTINGS.scores.metrics
    if set(METRICS[name].suites) & set(ASKED)
    and any(METHODS[method].codes or not METRICS[name].codes for method in SETTINGS.methods)
    and (DATASET.simulated or not METRICS[name].simulated)
]
USED_JUDGES = sorted(VARIABLES) if any(METRICS[name].judges for name in USED_METRICS) else []
USED_MODELS = sorted({model for method in SETTINGS.methods for model in METHODS[method].models})
SCM_SEEDS = SETTINGS.seeds if any(METHODS[method].scm for method in SETTINGS.methods) else []
GPU = 0 if SETTINGS.device == "cpu" else 1
PRETRAINED = pretrained(SETTINGS)
# Without a network a question takes milliseconds, less than the start of Python: one process answers so many chunks' worth.
TOGETHER = 20
ATTRIBUTES = json.dumps(SETTINGS.model_dump(mode="json")["attributes"])


def quick(function):
    """Returns a function that keeps its signature, which Snakemake asks for several times a job: a cost with many jobs."""
    function.__signature__ = signature(function)
    return function


@cache
def code_of(*modules):
    """Returns the hash of the code that `modules` run, that of the data set's world included where they ask it."""
    asked = "data.worlds" in imported_modules(*modules)
    return code_hash(*modules, *([f"data.{SETTINGS.dataset}"] if asked else []))


def settings_json(section, *keys, without=()):
    """Returns a section of the configuration as JSON: all of it, only `keys`, or all but `without`."""
    values = section.model_dump(mode="json")
    return json.dumps({key: values[key] for key in keys or values if key not in without})


def seeds_of(method):
    """Returns the seeds a method lives under; what nobody trained has one only."""
    return SETTINGS.seeds if METHODS[method].trained else [0]


def chunks_of(suite, method):
    """Returns the names of a suite's chunks: fixed ranges of questions, [start, stop)."""
    count = SETTINGS.questions.count(suite, SETTINGS.dataset)
    together = 1 if METHODS[method].models else TOGETHER
    if suite == "flip":
        # As many as asked for, each with as much to do: questions that the method leaves out end the last one.
        limit = getattr(getattr(SETTINGS.answers, method, None), "images", None)
        work = SETTINGS.questions.flip.count(DATASET.classes, limit)
        chunks = min(max(SETTINGS.answers.chunks // together, 1), work)
        starts = [work * chunk // chunks for chunk in range(chunks)]
    else:
        starts = range(0, count, together * SETTINGS.answers.chunk_size)
    return [f"{start:06d}-{stop:06d}" for start, stop in zip(starts, [*starts[1:], count])]


def answers_of(method, seed, suites, kinds=("npy", "parquet")):
    """Returns the files of a method's answers to all questions of `suites`, of those it can answer."""
    return [
        f"<results>/answers/{method}/seed{seed}/{suite}/{chunk}.{kind}"
        for suite in suites
        if suite in METHODS[method].suites
        for chunk in chunks_of(suite, method)
        for kind in kinds
    ]


def costs_of_answers(wildcards):
    """Returns what all answers that are scored cost, a file a chunk."""
    scored = [suite for suite in ASKED if suite != "sweep"]
    return [
        cost
        for method in SETTINGS.methods
        for seed in seeds_of(method)
        for cost in answers_of(method, seed, scored, ["cost.json"])
    ]


@cache
def answer_told(method):
    """Returns what an answer depends on beside its files: settings, device and code; kept, since every chunk asks for it."""
    # The chunk size changes no byte and is in the chunk's name. The sections of other methods are not read.
    others = {other.section for other in METHODS.values() if other.section} - {METHODS[method].section}
    return {
        "settings": settings_json(
            SETTINGS.answers, without=["chunk_size", "chunks", "vgg19_weights", *others]
        ),
        "device": SETTINGS.device if METHODS[method].models else "cpu",
        "code": code_of("methods.run", module_of(method)),
    }


def models_asked(wildcards):
    """Returns the trained models that a method asks."""
    method = METHODS[wildcards.method]
    names = [*method.models, *(["scm"] if method.scm else [])]
    asked = [f"<results>/models/{name}/seed{wildcards.seed}/model.safetensors" for name in names]
    # Explainers keep near the image by the features of one network more.
    perceptual = getattr(getattr(SETTINGS.answers, wildcards.method, None), "perceptual", "none")
    other = perceptual.replace("_", "/", 1)
    return asked + (
        [f"<results>/models/{other}/model.safetensors"] if other in (*PRETRAINED, "oracle") else []
    )


def weights_there(name):
    """Returns whether weights that others trained can be had: a file that was read once may go."""
    return weights_given(PRETRAINED[name], f"{SETTINGS.results}/{SETTINGS.dataset}/models/{name}")


def methods_of(seed):
    """Returns the methods that live under a seed."""
    return [method for method in SETTINGS.methods if int(seed) in seeds_of(method)]


def methods_scored(wildcards):
    """Returns the methods of a seed that answer what a metric scores."""
    needs_codes = METRICS[wildcards.metric].codes
    return [
        name
        for name in methods_of(wildcards.seed)
        if scored_suites(wildcards.metric, name) and (METHODS[name].codes or not needs_codes)
    ]


def scored_suites(metric, *methods):
    """Returns the suites that are asked, that a metric scores and that any of the methods (none named: any at all) answers."""
    answered = {suite for method in methods for suite in METHODS[method].suites} if methods else SUITES
    return [suite for suite in METRICS[metric].suites if suite in ASKED and suite in answered]


def judges_asked(wildcards):
    """Returns the judges that a metric asks."""
    asked = VARIABLES if METRICS[wildcards.metric].judges else []
    return [f"<results>/models/judges/{variable}/model.safetensors" for variable in asked]


def truth_compared(wildcards):
    """Returns the rendered true counterfactuals, where a metric compares with them."""
    suites = scored_suites(wildcards.metric, *methods_scored(wildcards))
    return answers_of("truth", 0, suites) if METRICS[wildcards.metric].truth and DATASET.simulated else []


def networks_asked(wildcards):
    """Returns the other networks that a metric asks: classifier, oracle, identity, pretrained ones."""
    # What all methods are held against is of no seed; no metric asks the classifier there.
    folders = {
        "classifier": f"classifier/seed{getattr(wildcards, 'seed', 0)}",
        "lpips": f"lpips/{SETTINGS.scores.lpips.net}",
    }
    asked = METRICS[wildcards.metric].models
    return [f"<results>/models/{folders.get(name, name)}/model.safetensors" for name in asked]


def reference_of(wildcards):
    """Returns what a metric holds all methods against, where that is computed beforehand."""
    file = f"<results>/scores/reference/{wildcards.metric}.safetensors"
    return [file] if METRICS[wildcards.metric].reference else []


def metric_settings(wildcards):
    """Returns, of the section `scores`, what one metric reads: its own part, if it has one, and those it shares."""
    parts = {}
    for name in [wildcards.metric, *METRICS[wildcards.metric].reads]:
        # `lpips.net` is one key of a section, `bootstrap` all of them.
        section, _, key = name.partition(".")
        part = getattr(SETTINGS.scores, section, None)
        if part:
            parts[section] = part.model_dump(mode="json", include={key} if key else None, exclude={"weights"})
    return json.dumps(parts)


def generator_models(generator, seed):
    """Returns the trained models that a generator's world is made of."""
    names = {"dcgan": ["dcgan", "classifier"], "gan": ["gan", "scm", "classifier"]}[generator]
    return [f"<results>/models/{name}/seed{seed}/model.safetensors" for name in names]


def query_settings(*names):
    """Returns the section `queries`, and of its queries only those named."""
    asked = {name: query.model_dump(mode="json") for name, query in QUERIES.items() if name in names}
    # By default there are others: they are left out by null.
    others = {name: None for name in SETTINGS.queries.by_name if name not in asked}
    return json.dumps({**json.loads(settings_json(SETTINGS.queries)), "by_name": {**others, **asked}})
