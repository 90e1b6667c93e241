"""Image counterfactuals: every method asked the same questions, every answer marked by the same marks."""

__version__ = "0.1.0"
