"""The workflow: data, models, questions, answers, scores, report.

Each rule runs one command of the package. Its params contain what the step depends on besides its input files: the
settings that it reads and a hash of the code that it runs. A step runs again if and only if one of these changes.
"""

import os

from snakemake.utils import min_version

min_version("9.19")


include: "workflow/rules/environment.smk"


# Without this file, in another folder than the checkout, every key has its default.
if os.path.exists("config.yaml"):

    configfile: "config.yaml"


# The introduction of the page made by `snakemake --report`.
report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/training.smk"


pathvars:
    results=f"{SETTINGS.results}/{SETTINGS.dataset}",
    logs=f"{SETTINGS.results}/{SETTINGS.dataset}/logs",
    benchmarks=f"{SETTINGS.results}/{SETTINGS.dataset}/benchmarks",


wildcard_constraints:
    method="[a-z0-9_]+",
    metric="[a-z0-9_]+",
    variable="[a-z0-9_]+",
    suite="|".join(SUITES),
    seed=r"\d+",
    chunk=r"\d+-\d+",
    pretrained="|".join(PRETRAINED),


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/questions.smk"
include: "workflow/rules/answers.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/queries.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/progress.smk"


onsuccess:
    # Needed only by a workflow that was killed, to find the chunks that its jobs have finished since.
    remove_recovery_copies(f"{SETTINGS.results}/{SETTINGS.dataset}/answers")
    if os.path.isfile(f"{SETTINGS.results}/report.html"):
        print(f"Report: {SETTINGS.results}/report.html")


rule all:
    default_target: True
    input:
        rules.report.output,
        rules.explorer.output,
        rules.tables.output,
        rules.figures.output,
        rules.summarise.output,
        rules.settings.output,
