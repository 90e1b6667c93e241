"""What the rules share: the checked configuration, and which files it asks for."""

import json
import os
import sys
from pathlib import Path

# Steps run this checkout's package, by this very Python unless a software environment is deployed.
PACKAGE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, PACKAGE)
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [PACKAGE, os.environ.get("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
)

from counterfactory.config import DATASETS, load_settings
from counterfactory.errors import UserError
from counterfactory.methods.registry import METHODS, SUITES
from counterfactory.metrics.registry import METRICS
from counterfactory.provenance import code_hash

try:
    SETTINGS = load_settings(config)
except UserError as error:
    # One line is all a user needs to mend it; a traceback of the workflow would bury it.
    sys.exit(str(error))


VARIABLES = list(DATASETS[SETTINGS.dataset])
ASKED = [suite for suite in SUITES if SETTINGS.questions.count(suite, SETTINGS.dataset)]
# What may be done is decided here, once: an optional step that is off, or asked by nobody, is not in the graph.
USED_METRICS = [name for name in SETTINGS.marks.metrics if set(METRICS[name].suites) & set(ASKED)]
USED_JUDGES = sorted({variable for name in USED_METRICS for variable in METRICS[name].judges})
USED_MODELS = sorted({model for method in SETTINGS.methods for model in METHODS[method].models})
PARENTS_SEEDS = SETTINGS.seeds if any(METHODS[method].parents for method in SETTINGS.methods) else []
GPU = 0 if SETTINGS.device == "cpu" else 1


def settings_json(section, *keys, without=()):
    """Returns a section of the configuration as JSON: all of it, only `keys`, or all but `without`."""
    values = section.model_dump(mode="json")
    return json.dumps({key: values[key] for key in keys or values if key not in without})


def seeds_of(method):
    """Returns the seeds a method lives under; what nobody trained has one only."""
    return SETTINGS.seeds if METHODS[method].trained else [0]


def chunks_of(suite):
    """Returns the names of a suite's chunks: fixed ranges of questions, [start, stop)."""
    count, size = SETTINGS.questions.count(suite, SETTINGS.dataset), SETTINGS.answers.chunk_size
    return [f"{start:06d}-{min(start + size, count):06d}" for start in range(0, count, size)]


def answers_of(method, seed, suites, kinds=("npy", "parquet")):
    """Returns the files of a method's answers to all questions of `suites`."""
    return [
        f"<results>/answers/{method}/seed{seed}/{suite}/{chunk}.{kind}"
        for suite in suites
        for chunk in chunks_of(suite)
        for kind in kinds
    ]


def models_asked(wildcards):
    """Returns the trained models that a method asks."""
    method = METHODS[wildcards.method]
    names = [*method.models, *(["parents"] if method.parents else [])]
    return [f"<results>/models/{name}/seed{wildcards.seed}/model.safetensors" for name in names]


def marked_suites(metric):
    """Returns the suites that are asked and that a metric marks."""
    return [suite for suite in METRICS[metric].suites if suite in ASKED]


def judges_asked(wildcards):
    """Returns the judges that a metric asks."""
    return [
        f"<results>/models/judges/{variable}/model.safetensors"
        for variable in METRICS[wildcards.metric].judges
    ]


def truth_compared(wildcards):
    """Returns the rendered true counterfactuals, where a metric compares with them."""
    suites = marked_suites(wildcards.metric)
    return answers_of("truth", 0, suites) if METRICS[wildcards.metric].truth else []


def weights_needed(wildcards):
    """Returns the pretrained weights that a metric needs."""
    net = SETTINGS.marks.lpips.net
    return [f"<results>/models/lpips/{net}/model.safetensors"] if METRICS[wildcards.metric].weights else []


def metric_settings(wildcards):
    """Returns, of the section `marks`, what one metric reads: its own part, if it has one."""
    part = getattr(SETTINGS.marks, wildcards.metric, None)
    return json.dumps({wildcards.metric: part.model_dump(mode="json", exclude={"weights"})} if part else {})
