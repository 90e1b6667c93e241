"""Image counterfactuals: every method asked the same questions, every answer scored by the same scores."""

__version__ = "0.1.0"
