"""The remaining time of the whole run, from the expected work of its jobs."""

from snakemake.logging import logger

from counterfactory.core.remaining import RemainingTime

# Seconds of work on one core, measured in the default run. Only their proportions matter after the first minutes.
# Per training image and update.
TRAINING_WORK = {
    "vae": 0.0008,
    "hvae": 0.0022,
    "vae_ft": 0.003,
    "hvae_ft": 0.006,
    "ddpm": 0.0022,
    "causaldiffae": 0.0025,
    "gan": 0.002,
    "dcgan": 0.001,
    "identity": 0.0007,
}
# Per question.
ANSWERING_WORK = {
    "dime": 3.6,
    "fastdime": 0.2,
    "dime_x": 0.2,
    "gan_esm": 2.0,
    "causaldiffae": 0.2,
    "copy": 0.0001,
}
# Per job.
SCORING_WORK = {"fid": 100, "lpips": 50}
RULE_WORK = {
    "synthesise": 5,
    "train": 8,
    "answer": 3,
    "score": 8,
    "reference": 8,
    "figures": 16,
    "tables": 6,
    "query": 20,
    "score_query": 8,
    "draw": 10,
    "structure": 8,
    "all": 0,
}


def work_of(job):
    """Returns the expected work of a job in seconds."""
    name, wildcards = job.rule.name, job.wildcards
    if "folder" in wildcards.keys():  # `train` and its variants
        training = training_of(wildcards.folder)
        model = wildcards.folder.split("/")[0]
        images = getattr(training.training, "steps", 0) * getattr(training.training, "batch_size", 0)
        return RULE_WORK["train"] + images * TRAINING_WORK.get(model, 0.0003)
    if name == "answer":
        start, stop = map(int, wildcards.chunk.split("-"))
        return RULE_WORK[name] + (stop - start) * ANSWERING_WORK.get(wildcards.method, 0.003)
    if name == "score":
        return SCORING_WORK.get(wildcards.metric, RULE_WORK[name])
    if name == "synthesise":
        images = sum(getattr(SETTINGS.data, split, 0) for split in SPLITS)
        return RULE_WORK[name] + images * (0.004 if DATASET.digits else 0.001)
    return RULE_WORK.get(name, 2)


onstart:
    # Snakemake removes the handler at the end.
    logger.addHandler(
        RemainingTime({workflow.dag.jobid(job): work_of(job) for job in workflow.dag.needrun_jobs()})
    )
