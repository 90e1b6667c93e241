"""Returns the values of variables in words."""

from .variable import Variable

__all__ = ["value_words"]


def value_words(variable: Variable, value: float) -> str:
    """Returns the value of a variable in words: the name of a class that has one, else the number."""
    return variable.names[int(value)] if variable.names else f"{value:g}"
