r"""The method `gan_esm`: counterfactual observations of an unconditional GAN by the extended structural model (ESM).

To flip an attribute of an image, the noise of the image is found (:func:`counterfactory.esm.images.invert`). A
counterfactual noise is then drawn from the extended structural model, given that the classifier *observes* the target
in its image:

.. math:: z = G^{-1}(x), \qquad z' \sim p(z' \mid z, e') \propto K_s(z' \mid z)\, c_{e'}(G(z')), \qquad x^* = G(z')

(Lucas and Kemp, 2015; the project of E. Bennett, github.com/erindb/counterfactualGANs, stopped before this step.) No
variable of the generator can be separated from its causes. The answer is therefore a counterfactual observation and not
an intervention: the causes of the attribute are revised together with it. Targets are those of the explainers
(:mod:`counterfactory.methods.explainer`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError
from ..core.noise import derive_seed
from ..data.dataset import load_dataset
from ..esm.samplers import counterfactual_observation
from ..esm.worlds import ObservedWorld
from ..models.classifier.model import load_classifier
from ..models.gan.model import load_gan
from . import Answer, Batch, Columns

__all__ = ["load"]

COLUMNS = {"answered": bool, "reached": bool, "network_calls": float, "log_evidence": float, "kept": float}


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`.

    Raises:
        UserError: If a trained model is missing or damaged, or the kernel does not suit the generator's prior.
    """
    dataset = load_dataset(data)
    network, failures = load_gan(models / "dcgan" / f"seed{seed}", dataset, device, "dcgan")
    classifier = load_classifier(models / "classifier" / f"seed{seed}", device, "classifier")
    own = settings.gan_esm
    world = ObservedWorld(network, classifier, device, own.inversion_steps, seed, own.sharpness)
    kernel = world.kernel(own.kernel, own.stickiness)
    categorical = {variable.name for variable in classifier.categorical}

    def answer(batch: Batch) -> tuple[np.ndarray, Columns, Columns]:
        if batch.attribute is None or batch.target is None:
            raise UserError(
                "questions: gan_esm answers the suite flip only; use a causal method for other suites"
            )
        count = len(batch)
        answered = np.array([not failures and name not in classifier.constant for name in batch.attribute])
        columns = {name: np.full(count, np.nan) for name in ("network_calls", "log_evidence", "kept")}
        columns |= {"answered": answered, "reached": np.zeros(count, dtype=bool)}
        parents = {name: np.full(count, np.nan) for name in dataset.names}
        images = batch.images.copy()
        if not answered.any():
            return images, parents, columns
        z = batch.pick(world.abduct(batch.align(batch.images)))
        predicted = classifier.predict(batch.images)
        targets = np.full(count, -1)
        drawn = np.zeros_like(z)
        for row in np.flatnonzero(answered):
            name = str(batch.attribute[row])
            targets[row] = int(batch.target[row]) if name in categorical else 1 - int(predicted[name][row])
            question = derive_seed(int(batch.seeds[row]), "gan_esm", name)
            result = counterfactual_observation(
                kernel, z[row], world.log_likelihood({name: int(targets[row])}), question, 1, own
            )  # fmt: skip
            drawn[row] = result.noise[0]
            columns["log_evidence"][row], columns["kept"][row] = result.log_evidence, result.kept[0]
            columns["network_calls"][row] = own.inversion_steps + result.calls
        images[answered] = batch.pick(world.images(batch.align(drawn)))[answered]
        # The classifier must predict the target for the rounded image.
        predicted = classifier.predict(images)
        columns["reached"] = np.array(
            [predicted[name][row] == targets[row] for row, name in enumerate(batch.attribute)]
        )
        return images, parents, columns

    return Answer(answer, columns=COLUMNS)
