"""The typed configuration: every key of `config.yaml`, its type, range, default and meaning.

These models are the one source of truth. `workflow/schemas/config.schema.json` is generated from them, and
`config.yaml` spells out their defaults. A mistake is refused with one line that names the key and the nearest
valid choice, before anything is run.

A section is a module here: its keys are the fields of a :class:`~counterfactory.config.sections.Section`, and the
section above it names it. What two values must have in common stands in :mod:`counterfactory.config.cross_checks`.
"""

from .answers import AnswersSettings
from .attributes import AttributeSettings, ClassifierSettings, IdentitySettings, OracleSettings
from .data import DataSettings
from .ddpm import DdpmDiffusion, DdpmNetwork, DdpmSettings, DdpmTraining
from .judges import JudgesSettings
from .load import load_section, load_settings, merge, read_config
from .models import HvaeNetwork, HvaeSettings, ModelsSettings, VaeNetwork, VaeSettings
from .questions import QuestionsSettings
from .reference import commented_yaml
from .scm import ScmSettings
from .scores import BootstrapSettings, LpipsSettings, ScoresSettings
from .settings import ReportSettings, Settings, schema
from .training import ImageTrainingSettings, TrainingSettings

__all__ = [
    "AnswersSettings",
    "AttributeSettings",
    "BootstrapSettings",
    "ClassifierSettings",
    "DataSettings",
    "DdpmDiffusion",
    "DdpmNetwork",
    "DdpmSettings",
    "DdpmTraining",
    "HvaeNetwork",
    "HvaeSettings",
    "ImageTrainingSettings",
    "IdentitySettings",
    "JudgesSettings",
    "LpipsSettings",
    "ScoresSettings",
    "ModelsSettings",
    "OracleSettings",
    "ScmSettings",
    "QuestionsSettings",
    "ReportSettings",
    "Settings",
    "TrainingSettings",
    "VaeNetwork",
    "VaeSettings",
    "commented_yaml",
    "load_section",
    "load_settings",
    "merge",
    "read_config",
    "schema",
]
