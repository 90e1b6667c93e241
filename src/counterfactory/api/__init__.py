"""Answers counterfactual questions about single images with the trained models of a results folder or a bundle.

.. code-block:: python

    import counterfactory

    world = counterfactory.load("results/morphomnist")  # or load("morphomnist"), the bundle of the package
    answer = world.imagine("mine.png", do={"thickness": 4}, given={"digit": 2}, method="hvae", samples=8)
    answer.image, answer.parents, answer.spread
    answer.save("after.png")

:func:`load` reads the description of the data set and lists the trained methods. Models are loaded when a question
first needs them. The answers are those of the command `counterfactory answer`: the same code answers them
(:func:`counterfactory.methods.batches.answer_batch`).
"""

from .answer import Imagined, Parent
from .images import ImagineWarning
from .question import TestImage
from .world import World, load

__all__ = ["ImagineWarning", "Imagined", "Parent", "TestImage", "World", "load"]
