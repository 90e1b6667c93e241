r"""Worlds in which queries are answered: trained generators of images with a classifier.

`ObservedWorld`
    An unconditional generator: the image is a function of one noise, :math:`x = G(z)`. A premise can be observed but
    not set.

`CausalWorld`
    The mechanisms of the parents and a generator conditional on them: :math:`\mathrm{pa} = f(u)`,
    :math:`x = G(z, \mathrm{pa})`, with the noises (u, z). A premise can be observed in the image, or set: the variable
    is separated from its causes and its descendants are computed anew. A binary attribute only defines a side of the
    threshold of its variable; the value is drawn from the marginal of the train split on that side, the same for every
    stickiness.

In both, facts about an image are predictions of the classifier.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.names import unknown_name
from ..core.noise import derive_seed, generator
from ..data.dataset import Dataset, encode_parents
from ..models.classifier.model import AttributeClassifier
from ..models.gan.network import Gan, draw_latents
from ..nets.pixels import to_bytes, to_pixels
from ..scm.model import ParentsSCM
from ..scm.noise_kernels import (
    PRIORS,
    Kernel,
    LogLikelihood,
    Prior,
    Sticky,
    build_kernel,
    gumbel,
    standard_normal,
)
from .images import fact_log_probability, image_log_likelihood, invert

__all__ = ["CausalWorld", "ObservedWorld"]

CHUNK = 64  # images in every network call: the arithmetic depends on the shape of the input
STARTS = 512  # draws from the prior among which an inversion chooses its start


class ObservedWorld:
    """An unconditional generator and the classifier of its images.

    Arguments:
        network: The generator.
        classifier: The classifier.
        device: The device of both.
        inversion_steps: The number of updates that find the noise of an image.
        seed: The seed of the draws among which inversions choose their start.
        sharpness: The factor on the classifier's logits; see :mod:`counterfactory.esm.images`.
    """

    intervenes = False

    def __init__(
        self,
        network: Gan,
        classifier: AttributeClassifier,
        device: str,
        inversion_steps: int,
        seed: int = 0,
        sharpness: float = 1.0,
    ) -> None:
        self.sharpness = sharpness
        self.network, self.classifier, self.device = network, classifier, device
        self.dimension, self.prior = network.latent, PRIORS[network.prior]
        self.inversion_steps, self.seed = inversion_steps, seed

    def kernel(self, name: str, stickiness: float) -> Kernel:
        """Returns the law of the counterfactual noise; see :func:`counterfactory.scm.noise_kernels.build_kernel`."""
        return build_kernel(name, stickiness, self.network.prior)

    def generate(self, z: Tensor) -> Tensor:
        """Returns images (B, C, H, W) in [-1, 1] given noises (B, D)."""
        return self.network.generate(z, z.new_zeros(len(z), 0))

    def images(self, noise: np.ndarray, do: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Returns the images of noises (M, D), uint8 (M, C, H, W)."""
        return _in_chunks(noise, self.device, lambda part, rows: self.generate(part))

    def log_likelihood(self, facts: Mapping[str, int]) -> LogLikelihood:
        """Returns the log-likelihood of facts about the image, by the classifier."""
        return _log_likelihood(self.classifier, self.generate, facts, self.device, self.sharpness)

    def abduct(self, images: np.ndarray, *_: object) -> np.ndarray:
        """Returns the noises (M, D) of uint8 images (M, C, H, W), by the encoder, if there is one, and by descent."""
        stream = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "inversion"))
        start = draw_latents(self.network.prior, STARTS, self.dimension, stream)
        found = []
        for first in range(0, len(images), CHUNK):
            x = to_pixels(torch.from_numpy(_padded(images[first : first + CHUNK])).to(self.device))
            with torch.no_grad():
                code = self.network.encode(x, x.new_zeros(len(x), 0)) if self.network.encoder else None
            z = invert(self.generate, x, start, self.network.prior, self.inversion_steps, first=code)
            found.append(z.cpu().numpy())
        return np.concatenate(found)[: len(images)]

    def act(self, premise: Mapping[str, float], seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """Raises `UserError`: no variable of an unconditional generator can be set."""
        raise UserError("by: do needs a generator with a causal model of its causes; use by: observe")


class CausalWorld:
    """The mechanisms of the parents, a generator conditional on them, and the classifier of its images.

    Arguments:
        scm: The mechanisms.
        network: The generator, with an encoder.
        classifier: The classifier.
        dataset: The data set.
        train: The attributes of the train split, from which the values of binary attributes are drawn.
        device: The device of the networks.
        sharpness: The factor on the classifier's logits; see :mod:`counterfactory.esm.images`.
    """

    intervenes = True

    def __init__(
        self,
        scm: ParentsSCM,
        network: Gan,
        classifier: AttributeClassifier,
        dataset: Dataset,
        train: pd.DataFrame,
        device: str,
        sharpness: float = 1.0,
    ) -> None:
        self.sharpness = sharpness
        self.scm, self.network, self.classifier = scm, network, classifier
        self.dataset, self.train, self.device = dataset, train, device
        # Columns of the noise: those of each variable, K for a categorical one, followed by the latents.
        widths = [variable.classes if variable.classes else 1 for variable in dataset.variables]
        self.blocks = np.repeat(np.arange(len(widths)), widths).tolist()
        count = len(self.blocks)
        self.dimension = count + network.latent
        self.blocks += range(len(widths), len(widths) + network.latent)
        self._gumbel = np.zeros(self.dimension, dtype=bool)
        self._gumbel[:count] = np.repeat([width > 1 for width in widths], widths)
        self._latents = slice(count, None)
        self.prior: Prior = self._draw

    def kernel(self, name: str, stickiness: float) -> Kernel:
        """Returns the sticky kernel over all noises; the K noises of a class are kept or redrawn together.

        Raises:
            UserError: If another kernel is chosen, because the noises have different laws.
        """
        if name != "sticky":
            raise UserError(f"kernel: {name}: not defined for noises with different laws; choose sticky")
        return Sticky(stickiness, self.prior, self.blocks)

    def parents(self, noise: Tensor, do: Mapping[str, Tensor] | None = None) -> dict[str, np.ndarray]:
        """Returns the parents for noises (B, D), each (B,), in physical units."""
        noises, start = {}, 0
        for variable in self.dataset.variables:
            width = variable.classes if variable.classes else 1
            part = noise[:, start : start + width].double().cpu()
            noises[variable.name] = part if variable.classes else part[:, 0]
            start += width
        values = self.scm.predict(noises, do)
        return {name: value.detach().numpy() for name, value in values.items()}

    def generate(self, noise: Tensor, do: Mapping[str, Tensor] | None = None) -> Tensor:
        """Returns images (B, C, H, W) in [-1, 1], before exposure, given noises (B, D)."""
        condition = torch.from_numpy(encode_parents(self.dataset, self.parents(noise, do))).to(noise.device)
        return self.network.generate(noise[:, self._latents].float(), condition)

    def images(self, noise: np.ndarray, do: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Returns the images of noises (M, D), uint8 (M, C, H, W), with the variables `do` set, each (M,)."""
        do = do or {}
        padded = {name: torch.from_numpy(_padded(np.asarray(value, float))) for name, value in do.items()}

        def generate(part: Tensor, rows: slice) -> Tensor:
            return self.generate(part, {name: value[rows] for name, value in padded.items()})

        return _in_chunks(noise, self.device, generate)

    def log_likelihood(self, facts: Mapping[str, int]) -> LogLikelihood:
        """Returns the log-likelihood of facts about the image, by the classifier."""
        return _log_likelihood(self.classifier, self.generate, facts, self.device, self.sharpness)

    def abduct(self, images: np.ndarray, parents: pd.DataFrame, seeds: Sequence[int]) -> np.ndarray:
        """Returns the noises (M, D) of uint8 images (M, C, H, W) with their parents, M rows."""
        values = {name: parents[name].to_numpy(np.float64) for name in self.dataset.names}
        columns = [
            noise.detach().numpy().reshape(len(images), -1)
            for noise in self.scm.abduct(values, seeds).values()
        ]
        codes = []
        encoded = encode_parents(self.dataset, values)
        for first in range(0, len(images), CHUNK):
            x, pa = (
                torch.from_numpy(_padded(part[first : first + CHUNK])).to(self.device)
                for part in (images, encoded)
            )
            with torch.no_grad():
                codes.append(self.network.encode(to_pixels(x), pa).cpu().numpy())
        return np.concatenate([*columns, np.concatenate(codes)[: len(images)]], axis=1)

    def act(self, premise: Mapping[str, float], seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """Returns the values that a premise sets, each (N,), one value per seed.

        Raises:
            UserError: If the premise has a name that cannot be set.
        """
        done = {}
        for name, value in premise.items():
            attribute = self.classifier.attributes.get(name)
            if name in self.dataset.names:
                done[name] = np.full(len(seeds), float(value))
            elif attribute and attribute["of"] in self.dataset.names:
                values = self.train[attribute["of"]].to_numpy(np.float64)
                pool = values[(values > attribute["above"]) == bool(value)]
                drawn = [generator(int(seed), "act", name).integers(len(pool)) for seed in seeds]
                done[attribute["of"]] = pool[drawn]
            else:
                known = [*self.dataset.names, *self.classifier.names]
                raise unknown_name(name, "cannot be set", known)
        return done

    def _draw(self, rng: np.random.Generator, coordinates: np.ndarray) -> np.ndarray:
        drawn = np.empty(len(coordinates))
        latent, wanted = coordinates >= self._latents.start, self._gumbel[coordinates]
        laws = ((latent, PRIORS[self.network.prior]), (wanted, gumbel), (~latent & ~wanted, standard_normal))
        for mine, law in laws:
            if mine.any():
                drawn[mine] = law(rng, coordinates[mine])
        return drawn


def _log_likelihood(
    classifier: AttributeClassifier,
    generate: Callable[[Tensor], Tensor],
    facts: Mapping[str, int],
    device: str,
    sharpness: float,
) -> LogLikelihood:
    blocks = classifier.blocks

    def log_probability(x: Tensor) -> Tensor:
        return fact_log_probability(classifier.logits(x), blocks, facts, sharpness)

    return image_log_likelihood(generate, log_probability, device, CHUNK)


@torch.no_grad()
def _in_chunks(noise: np.ndarray, device: str, generate: Callable[[Tensor, slice], Tensor]) -> np.ndarray:
    """Returns the images of noises (M, D), generated in chunks of a fixed size."""
    padded = torch.from_numpy(_padded(np.asarray(noise, np.float32))).to(device)
    parts = [
        to_bytes(generate(padded[first : first + CHUNK], slice(first, first + CHUNK))).cpu().numpy()
        for first in range(0, len(padded), CHUNK)
    ]
    return np.concatenate(parts)[: len(noise)]


def _padded(values: np.ndarray) -> np.ndarray:
    """Returns values (M, *) with M increased to a multiple of the chunk by copies of the first row."""
    missing = -len(values) % CHUNK
    # A copy, because torch requires writable memory.
    return np.concatenate([values, np.repeat(values[:1], missing, axis=0)])
