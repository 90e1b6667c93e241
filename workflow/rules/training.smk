"""Inputs, options and resources of the training of each model, from models/registry.py."""

from functools import reduce
from types import SimpleNamespace

from counterfactory.models.registry import MODELS, section_of

# A pattern that matches nothing.
NEVER = "(?!)"


def folders_of(seeded, dependent=False):
    """Returns a pattern of the folders below models/ of the trained models with or without a training seed.

    `dependent` chooses those that require other trained models.
    """
    # Published weights of the identity network are fetched instead, imported models are imported.
    kind = (seeded, dependent)
    names = [name for name, model in MODELS.items() if (model.seeded, bool(model.needs)) == kind]
    names = [name for name in names if name not in PRETRAINED and name not in IMPORTED]
    patterns = []
    for name in names:
        variables = [one for one in VARIABLES if f"{name}/{one}" not in IMPORTED]
        if not MODELS[name].per_variable:
            patterns.append(rf"{name}/seed\d+" if seeded else name)
        elif variables:
            patterns.append(f"{name}/({'|'.join(variables)})")
    return "|".join(patterns) or NEVER


def imported_folders():
    """Returns a pattern of the folders below models/ of the imported models."""
    patterns = [rf"{name}/seed\d+" if MODELS[name.split("/")[0]].seeded else name for name in IMPORTED]
    return "|".join(patterns) or NEVER


def import_of(folder):
    """Returns what the import of one folder below models/ depends on."""
    model = folder.split("/")[0]
    name = model if MODELS[model].seeded else folder
    found = IMPORTED[name]
    return SimpleNamespace(
        name=name,
        path=found.path,
        options=file_of(json.dumps(found.options)),
        seed=os.path.basename(folder).removeprefix("seed") if MODELS[model].seeded else 0,
        attributes=["--attributes", attributes_file()] if MODELS[model].attributes else [],
        code=code_of("models.imports:import_model", MODELS[model].imports),
    )


@cache
def training_of(folder):
    """Returns what the training of one folder below models/, such as `vae/seed0` or `judges/digit`, depends on."""
    name, _, part = folder.partition("/")
    model = MODELS[name]
    settings = reduce(getattr, section_of(name).split("."), SETTINGS)
    return SimpleNamespace(
        model=model,
        name=folder if model.per_variable else name,
        seed=part.removeprefix("seed") if model.seeded else None,
        code=code_of(MODELS[name].train),
        settings=settings_file(settings, without=model.ignores),
        training=getattr(settings, "training", None),
    )


def files_read(wildcards):
    """Returns the files that a training reads: its splits and the models that it requires."""
    training = training_of(wildcards.folder)
    kinds = ["images.npy"] * training.model.images + ["attributes.parquet"]
    models = expand(training.model.needs, seed=training.seed, variable=VARIABLES)
    return [f"<results>/data/{split}/{kind}" for kind in kinds for split in training.model.splits] + [
        f"<results>/models/{model}/model.safetensors" for model in dict.fromkeys(models)
    ]


def training_mb(wildcards):
    """Returns the memory of a training in MB."""
    model = training_of(wildcards.folder).model
    return network_mb(*model.splits) if model.images else 2000


def training_time(wildcards):
    """Returns the time limit of a training in minutes."""
    training = training_of(wildcards.folder)
    if training.model.minutes or training.training is None:
        return training.model.minutes or 60
    return training_minutes(training.training)


def training_options(wildcards):
    """Returns the options of the command `train` that only some models have."""
    training = training_of(wildcards.folder)
    seed = ["--seed", training.seed] if training.model.seeded else []
    return [*seed, *(["--attributes", attributes_file()] if training.model.attributes else [])]
