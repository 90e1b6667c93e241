"""Adds the settings of registered models to the section `models`."""

from importlib import import_module
from typing import Any

from pydantic import Field, create_model

from ..models.registry import MODELS, section_of
from .sections import Section
from .training import IMAGE_TRAINING, TrainingSettings

__all__ = ["TrainedModelSettings", "with_registered"]


class TrainedModelSettings(Section):
    """A model without settings of its own except its training."""

    training: TrainingSettings = Field(
        TrainingSettings(**{name: getattr(IMAGE_TRAINING, name) for name in TrainingSettings.model_fields}),
        description="Its training.",
    )


def with_registered(section: type[Section]) -> type[Section]:
    """Returns the section `models` with one more key for every registered model that has no key yet.

    The settings of such a model are of the class that its entry in :data:`counterfactory.models.registry.MODELS` names,
    or :class:`TrainedModelSettings`.
    """
    fields: dict[str, Any] = {}
    for name, model in MODELS.items():
        if section_of(name) != f"models.{name}" or name in section.model_fields:
            continue
        settings = TrainedModelSettings
        if model.settings:
            module, _, attribute = model.settings.partition(":")
            settings = getattr(import_module(f"..{module}", __package__), attribute)
        fields[name] = (settings, Field(settings(), description=f"The model {name}."))
    return (
        create_model(section.__name__, __base__=section, __doc__=section.__doc__, **fields)
        if fields
        else section
    )
