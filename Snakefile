"""From raw digits to a scored table of counterfactuals: data, models, questions, answers, scores, report.

Rules call the command line of the package, one step a rule. What a step depends on stands in its params: the
configuration it reads and a hash of the code it runs, so that a step is run again when, and only when, either changes.
"""

from snakemake.utils import min_version

min_version("9.19")


configfile: "config.yaml"


# What `snakemake --report` opens with.
report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"


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


onsuccess:
    # What a killed workflow would have found its finished chunks by.
    remove_recovery_copies(f"{SETTINGS.results}/{SETTINGS.dataset}/answers")


rule all:
    default_target: True
    input:
        f"{SETTINGS.results}/report.html",
