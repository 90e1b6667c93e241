"""Common definitions of all rules: the validated configuration, and the files and settings that each step reads."""

import gc
import json
import os
import sys
from functools import cache
from hashlib import sha256
from inspect import signature
from pathlib import Path

# The graph of jobs has millions of objects that all stay alive. Fewer garbage collections save a fifth of the time.
gc.set_threshold(200_000, 50, 100)

from counterfactory.answers.recovery import remove_recovery_copies
from counterfactory.config import load_settings
from counterfactory.config.cross_checks import warnings_of
from counterfactory.config.model_checks import used_models
from counterfactory.config.explainers import EXPLAINERS
from counterfactory.config.imported import imports_of
from counterfactory.config.path_checks import missing_folders, missing_weights
from counterfactory.core.errors import UserError
from counterfactory.core.code_hash import code_hash, imported_modules
from counterfactory.core.plugins import code_of_plugin, without_plugins
from counterfactory.core.run_lock import hold_alive_lock
from counterfactory.data.registry import module_of as dataset_module
from counterfactory.esm.registry import GENERATORS
from counterfactory.methods.registry import METHODS, module_of
from counterfactory.metrics.registry import METRICS, module_of as metric_module
from counterfactory.pretrained.sources import pretrained, weights_available
from counterfactory.questions.registry import SUITES

try:
    SETTINGS = load_settings(config)
except UserError as error:
    # The message is complete; a traceback of the workflow would hide it.
    sys.exit(str(error))

if workflow.is_main_process:
    if hold_alive_lock():
        print("Removed the lock of a run that was killed.", file=sys.stderr)
    # Only here: a node of a cluster may lack folders that no step of it reads.
    if missing := list(missing_folders(SETTINGS)):
        sys.exit("\n".join(f"config: {line}" for line in missing))
    for warning in [*warnings_of(SETTINGS), *missing_weights(SETTINGS)]:
        print(f"config: {warning}", file=sys.stderr)

DATASET = SETTINGS.entry
VARIABLES = list(DATASET.classes)
# Steps that are switched off or have no questions are not in the graph of jobs.
ASKED = [suite for suite in SUITES if SETTINGS.questions.count(suite, DATASET)]
USED_METRICS = [
    name
    for name in SETTINGS.scores.metrics
    if set(METRICS[name].suites) & set(ASKED)
    and any(METHODS[method].codes or not METRICS[name].codes for method in SETTINGS.methods)
    and (DATASET.simulated or not METRICS[name].simulated)
]
USED_JUDGES = sorted(VARIABLES) if any(METRICS[name].judges for name in USED_METRICS) else []
USED_MODELS = used_models(SETTINGS)
SCM_SEEDS = SETTINGS.seeds if any(METHODS[method].scm for method in SETTINGS.methods) else []
GPU = 0 if SETTINGS.device == "cpu" else 1
PRETRAINED = pretrained(SETTINGS)
# Models whose weights are imported: given, not trained.
IMPORTED = imports_of(SETTINGS)
# Factor on the chunk size of methods without networks. They answer a question in milliseconds, less than a job takes to
# start.
TOGETHER = 20


def quick(function):
    """Returns a function with its signature stored: Snakemake reads it several times per job, which is slow."""
    function.__signature__ = signature(function)
    return function


@cache
def code_of(*modules):
    """Returns the hash of the code that `modules` run, with the simulator of the data set if they use it."""
    own = without_plugins(modules)
    simulator = [dataset_module(SETTINGS.dataset)] if "data.worlds" in imported_modules(*own) else []
    whole = (*modules, *simulator)
    # The static analysis ends at this package: of a plugin, all files count.
    return code_hash(*without_plugins(whole)) + code_of_plugin(whole)


@cache
def file_of(text):
    """Writes the settings of a step, as JSON, and returns the path, which is a function of the content.

    The path is a parameter of the step, so that the step runs again when the settings change. A command with a path
    stays readable when Snakemake prints it after a failure.
    """
    path = f"{SETTINGS.results}/{SETTINGS.dataset}/settings/{sha256(text.encode()).hexdigest()[:16]}.json"
    if not workflow.output_settings.dryrun and not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}.partial"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    return path


def settings_file(section, *keys, without=()):
    """Returns the path of a section of the configuration in JSON: all of it, only `keys`, or all but `without`."""
    values = section.model_dump(mode="json")
    return file_of(json.dumps({key: values[key] for key in keys or values if key not in without}))


def attributes_file():
    """Returns the path of the section `attributes` in JSON."""
    return file_of(json.dumps(SETTINGS.model_dump(mode="json")["attributes"]))


def seeds_of(method):
    """Returns the training seeds of a method; a method without trained models has only the seed 0.

    A method whose models are all imported has only the first seed: its weights are given, and other seeds would count
    the same answers as further trainings.
    """
    if not METHODS[method].trained:
        return [0]
    given = (
        METHODS[method].models and not METHODS[method].scm and set(METHODS[method].models) <= set(IMPORTED)
    )
    return SETTINGS.seeds[:1] if given else SETTINGS.seeds


def chunks_of(suite, method):
    """Returns the names of the chunks of a suite: ranges of questions [start, stop)."""
    count = SETTINGS.questions.count(suite, DATASET)
    together = 1 if METHODS[method].models else TOGETHER
    if suite == "flip":
        # A given number of chunks with equal work. Questions that the method does not answer belong to the last chunk.
        limit = getattr(getattr(SETTINGS.answers, method, None), "images", None)
        work = SETTINGS.questions.flip.count(DATASET.classes, limit)
        chunks = min(max(SETTINGS.answers.chunks // together, 1), work)
        starts = [work * chunk // chunks for chunk in range(chunks)]
    else:
        starts = range(0, count, together * SETTINGS.answers.chunk_size)
    return [f"{start:06d}-{stop:06d}" for start, stop in zip(starts, [*starts[1:], count])]


def answers_of(method, seed, suites, kinds=("npy", "parquet")):
    """Returns the files with a method's answers to all questions of those `suites` that it answers."""
    return [
        f"<results>/answers/{method}/seed{seed}/{suite}/{chunk}.{kind}"
        for suite in suites
        if suite in METHODS[method].suites
        for chunk in chunks_of(suite, method)
        for kind in kinds
    ]


def costs_of_answers(wildcards):
    """Returns the files with the costs of all scored answers, one for each chunk."""
    scored = [suite for suite in ASKED if suite != "sweep"]
    return [
        cost
        for method in SETTINGS.methods
        for seed in seeds_of(method)
        for cost in answers_of(method, seed, scored, ["cost.json"])
    ]


@cache
def answer_params(method):
    """Returns what the answers of a method depend on besides their input files: settings, device and code."""
    # The chunk size changes no answer and is in the chunk's name. The sections of other methods are not read.
    others = {other.section for other in METHODS.values() if other.section} - {METHODS[method].section}
    return {
        "settings": settings_file(
            SETTINGS.answers, without=["chunk_size", "chunks", "vgg19_weights", *others]
        ),
        "device": SETTINGS.device if METHODS[method].models else "cpu",
        "code": code_of("methods.run:answer", f"{module_of(method)}:load"),
    }


def models_used(wildcards):
    """Returns the files of the trained models that a method uses."""
    method = METHODS[wildcards.method]
    names = [*method.models, *(["scm"] if method.scm else [])]
    trained = [f"<results>/models/{name}/seed{wildcards.seed}/model.safetensors" for name in names]
    # Explainers have a perceptual distance, which may use another network.
    perceptual = getattr(getattr(SETTINGS.answers, wildcards.method, None), "perceptual", "none")
    other = perceptual.replace("_", "/", 1)
    return trained + (
        [f"<results>/models/{other}/model.safetensors"] if other in (*PRETRAINED, "oracle") else []
    )


def weights_there(name):
    """Returns whether pretrained weights are available, from their source or from an earlier run."""
    return weights_available(PRETRAINED[name], f"{SETTINGS.results}/{SETTINGS.dataset}/models/{name}")


def methods_of(seed):
    """Returns the methods that have answers for a training seed."""
    return [method for method in SETTINGS.methods if int(seed) in seeds_of(method)]


def methods_scored(wildcards):
    """Returns the methods of a training seed whose answers a metric scores."""
    needs_codes = METRICS[wildcards.metric].codes
    return [
        name
        for name in methods_of(wildcards.seed)
        if scored_suites(wildcards.metric, name) and (METHODS[name].codes or not needs_codes)
    ]


def scored_suites(metric, *methods):
    """Returns the suites that a metric scores and that any of the methods (by default, of all methods) answers."""
    answered = {suite for method in methods for suite in METHODS[method].suites} if methods else SUITES
    return [suite for suite in METRICS[metric].suites if suite in ASKED and suite in answered]


def judges_used(wildcards):
    """Returns the files of the judges that a metric uses."""
    variables = VARIABLES if METRICS[wildcards.metric].judges else []
    return [f"<results>/models/judges/{variable}/model.safetensors" for variable in variables]


def truth_compared(wildcards):
    """Returns the files of the true counterfactuals, if a metric compares answers with them."""
    suites = scored_suites(wildcards.metric, *methods_scored(wildcards))
    return answers_of("truth", 0, suites) if METRICS[wildcards.metric].truth and DATASET.simulated else []


def networks_used(wildcards):
    """Returns the files of the other networks that a metric uses: classifier, oracle, identity, pretrained ones."""
    # A reference, which is shared by all seeds, does not use the classifier.
    folders = {
        "classifier": f"classifier/seed{getattr(wildcards, 'seed', 0)}",
        "lpips": f"lpips/{SETTINGS.scores.lpips.net}",
    }
    names = METRICS[wildcards.metric].models
    return [f"<results>/models/{folders.get(name, name)}/model.safetensors" for name in names]


def reference_of(wildcards):
    """Returns the file with the reference statistics of a metric, if it has any."""
    file = f"<results>/scores/reference/{wildcards.metric}.safetensors"
    return [file] if METRICS[wildcards.metric].reference else []


def metric_settings(wildcards):
    """Returns the path of the settings that a metric reads: its own part of `scores`, and the parts that it shares."""
    parts = {}
    for name in [wildcards.metric, *METRICS[wildcards.metric].reads]:
        # `lpips.net` is one key of a section, `bootstrap` is a whole section.
        section, _, key = name.partition(".")
        part = getattr(SETTINGS.scores, section, None)
        if part:
            parts[section] = part.model_dump(mode="json", include={key} if key else None, exclude={"weights"})
    return file_of(json.dumps(parts))


def generator_models(generator, seed):
    """Returns the files of the trained models that queries to a generator use."""
    return [f"<results>/models/{name}/seed{seed}/model.safetensors" for name in GENERATORS[generator].models]


def query_settings(*names):
    """Returns the path of the section `queries` with the named queries only."""
    values = SETTINGS.queries.model_dump(mode="json")
    # The other queries are removed by null, since a missing one would have its default.
    queries = {name: None for name in values["by_name"] if name not in names}
    queries |= {name: values["by_name"][name] for name in QUERIES if name in names}
    return file_of(json.dumps({**values, "by_name": queries}))
