"""The typed configuration: every key of `config.yaml` with its type, range, default and meaning.

The classes of this package are the only definition of the configuration. The JSON schema, the commented YAML and the
reference page are generated from them (`counterfactory schema`, `counterfactory settings --commented`, `--reference`).
All mistakes in a configuration are reported together, one line each, before anything runs.

Each section is a module and a subclass of :class:`counterfactory.config.sections.Section`. Checks that involve several
keys are in :mod:`counterfactory.config.cross_checks`.
"""

from .answers import AnswersSettings
from .attributes import AttributeSettings, ClassifierSettings, IdentitySettings, OracleSettings
from .data import DataSettings
from .ddpm import DdpmDiffusion, DdpmNetwork, DdpmSettings, DdpmTraining
from .judges import JudgesSettings
from .load import load_section, load_settings
from .models import HvaeNetwork, HvaeSettings, ModelsSettings, VaeNetwork, VaeSettings
from .questions import QuestionsSettings
from .reference import commented_yaml, reference
from .schema import schema
from .scm import ScmSettings
from .scores import BootstrapSettings, LpipsSettings, ScoresSettings
from .settings import ReportSettings, Settings
from .training import ImageTrainingSettings, TrainingSettings
from .yaml_files import merge, read_config, read_file

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
    "IdentitySettings",
    "ImageTrainingSettings",
    "JudgesSettings",
    "LpipsSettings",
    "ModelsSettings",
    "OracleSettings",
    "QuestionsSettings",
    "ReportSettings",
    "ScmSettings",
    "ScoresSettings",
    "Settings",
    "TrainingSettings",
    "VaeNetwork",
    "VaeSettings",
    "commented_yaml",
    "load_section",
    "load_settings",
    "merge",
    "read_config",
    "read_file",
    "reference",
    "schema",
]
