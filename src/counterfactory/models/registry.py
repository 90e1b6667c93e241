"""The trained models: train function, settings, data splits and required models of each, as names only.

The command `train` looks the train function up here, and the workflow generates its training rules from this table.
Nothing heavy is imported. A new model is one folder, `models/<name>/`, with a module `train.py`, and one line in
:data:`MODELS`.
"""

from dataclasses import dataclass

__all__ = ["MODELS", "Model", "section_of", "split_name"]


@dataclass(frozen=True)
class Model:
    """One trained model.

    Arguments:
        train: The train function as `module:function`, relative to the package. It is called with the settings of the
            model's section and a :class:`counterfactory.core.run.Run`, and writes `model.safetensors`, `model.json` and
            `log.csv` to `run.out`.
        section: The section of the configuration with its settings; by default `models.<name>`.
        settings: The class of these settings as `module:class`, relative to the package, for a model that
            :mod:`counterfactory.config.models` does not list; by default a section with `training` only.
        ignores: Keys of the section that do not affect the training.
        splits: The splits of the data set that it reads.
        needs: The folders, relative to `models/`, of the models that it reads; `{seed}` stands for the training seed,
            `{variable}` for every variable.
        seeded: Whether it is trained once per training seed, in `models/<name>/seed<k>/`. Other models have a seed in
            their section, and the folder `models/<name>/`.
        per_variable: Whether it is trained once per variable, in `models/<name>/<variable>/`.
        attributes: Whether it also reads the section `attributes`.
        images: Whether it trains a network on images. The others read the table of attributes only and run on the CPU.
        minutes: The time limit of a job in minutes; by default it is computed from the settings of the training.
        imports: The function that imports published weights in place of the training, as `module:function`; empty:
            none. It is called with the opened file, the options and a :class:`counterfactory.core.run.Run`, and returns
            the weights and their description (:mod:`counterfactory.models.imports`).
    """

    train: str
    section: str = ""
    settings: str = ""
    ignores: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "valid")
    needs: tuple[str, ...] = ()
    seeded: bool = True
    per_variable: bool = False
    attributes: bool = False
    images: bool = True
    minutes: int = 0
    imports: str = ""


_IMAGE = "models.image.train:train_image_mechanism"
_FINETUNE = "models.image.finetune:finetune"
_FROM = ("scm/seed{seed}", "predictors/{variable}")
_GAN = "models.gan.train:train_gan"
_JUDGE = "models.judges.train:train_judge"
_CLASSIFIER = "models.classifier.train:train_classifier"
_EVALUATION = ("judges", "test")
_IMPORT = ("weights", "options")  # keys of a section that name what is imported in place of a training
_IMAGE_IMPORT = "models.image.published:import_image_mechanism"
_CLASSIFIER_IMPORT = "models.classifier.published:import_classifier"
_JUDGE_IMPORT = "models.judges.published:import_judge"

MODELS: dict[str, Model] = {
    "scm": Model(
        "scm.fit:fit_scm", section="scm", splits=("train", "valid", "test"), images=False, minutes=30
    ),
    "vae": Model(_IMAGE, ignores=_IMPORT, imports=_IMAGE_IMPORT),
    "hvae": Model(_IMAGE, ignores=_IMPORT, imports=_IMAGE_IMPORT),
    "vae_ft": Model(_FINETUNE, needs=("vae/seed{seed}", *_FROM), minutes=1440),
    "hvae_ft": Model(_FINETUNE, needs=("hvae/seed{seed}", *_FROM), minutes=1440),
    "causaldiffae": Model("models.causaldiffae.train:train_causaldiffae"),
    "ddpm": Model(
        "models.ddpm.train:train_ddpm", ignores=_IMPORT, imports="models.ddpm.published:import_ddpm"
    ),
    "gan": Model(_GAN),
    "dcgan": Model(_GAN),
    "classifier": Model(
        _CLASSIFIER,
        ignores=_IMPORT,
        splits=("train", "valid", "test"),
        attributes=True,
        imports=_CLASSIFIER_IMPORT,
    ),
    "oracle": Model(
        _CLASSIFIER,
        section="oracle",
        ignores=_IMPORT,
        splits=_EVALUATION,
        seeded=False,
        attributes=True,
        imports=_CLASSIFIER_IMPORT,
    ),
    "identity": Model(
        "models.identity.train:train_identity",
        section="identity",
        splits=("judges", "train", "test"),
        seeded=False,
    ),
    "judges": Model(
        _JUDGE,
        section="judges",
        ignores=("confounded", *_IMPORT),
        splits=_EVALUATION,
        seeded=False,
        per_variable=True,
        imports=_JUDGE_IMPORT,
    ),
    # Trained on `train`, because fine-tuned models learn from them: the judges must stay independent of every method.
    "predictors": Model(
        _JUDGE,
        section="judges",
        ignores=("confounded", *_IMPORT),
        splits=("train", "test"),
        seeded=False,
        per_variable=True,
        imports=_JUDGE_IMPORT,
    ),
}


def section_of(model: str) -> str:
    """Returns the section of a model's settings, such as `models.vae`."""
    return MODELS[model].section or f"models.{model}"


def split_name(name: str) -> tuple[str, str]:
    """Splits the name of a training, such as `vae` or `judges/thickness`, into model and variable (`vae`: empty)."""
    model, _, variable = name.partition("/")
    return model, variable
