r"""Networks of CausalDiffAE: an encoder to causal codes, a label prior, and a denoiser conditioned on the codes.

.. math:: q(u \mid x) = \mathcal{N}(\mu(x), \sigma^2(x)), \qquad z = \mathrm{CausalLayer}(u), \qquad
          \hat\epsilon(x_t, t, z)

(CausalDiffAE, Komanduri et al., ECAI 2024, arXiv:2404.17735, after DiffAE, Preechakul et al., 2022, arXiv:2111.15640.)
A prior :math:`p(z \mid y) = \prod_k \mathcal{N}(m_k(y_k), s_k^2)` aligns codes with labels. It is fixed, with
:math:`m_k` the label itself in all W dimensions and one scale for all (published: 1), or learned, with :math:`m_k` and
:math:`s_k` networks of the label. Instead of a number, a class has a row of signs that is orthogonal to those of all
other classes. A code is *moved* from the label y that it shows to another label y' with its standardised residual kept,
:math:`z_k' = m_k(y') + s_k(y') (z_k - m_k(y)) / s_k(y)`.

Variables that act as exposure (:mod:`counterfactory.nets.exposure`) may be removed from the image: the denoiser works
on *developed* images and is not conditioned on the codes of these variables, and its result is exposed again.

The condition of the denoiser is z and one indicator, which is 1. The null condition is all zeros, including the
indicator. The authors have no indicator; the null condition is then the same as labels in the middle of their ranges.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

import torch
from scipy.linalg import hadamard
from torch import Tensor, nn

from ...data.dataset import Dataset, Variable
from ...nets.exposure import develop, expose, exposure_gain
from ...nets.unet import UNet
from .causal_layer import CausalLayer

__all__ = ["CodeEncoder", "CausalDiffAE", "LabelPrior"]

_LARGEST = 4
"""Largest size of the last feature map of the encoder in px."""

_GRID = 401
"""The number of candidate labels when the label of a code is determined under a learned prior."""


class CodeEncoder(nn.Module):
    """Maps an image to the Gaussian distribution of the noises u.

    Convolutions of stride 2 with group normalisation down to 4 px or less, followed by one linear layer.

    Arguments:
        shape: The shape (C, H, W) of an image.
        widths: Channels after each convolution. The number of convolutions depends on the size of the image; the last
            width is repeated if necessary.
        variables: The number K of variables.
        width: Dimensions W of the code of a variable.
        log_variance: The initial log variance.
    """

    def __init__(
        self,
        shape: Sequence[int],
        widths: Sequence[int],
        variables: int,
        width: int,
        log_variance: float = -4.0,
    ) -> None:
        super().__init__()
        self.variables, self.width = variables, width
        layers: list[nn.Module] = []
        channels, side, depth = shape[0], shape[1], 0
        while side > _LARGEST:
            out = widths[min(depth, len(widths) - 1)]
            layers += [nn.Conv2d(channels, out, 3, 2, 1), nn.GroupNorm(1, out), nn.SiLU()]
            channels, side, depth = out, (side + 1) // 2, depth + 1
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(channels * side**2, 2 * variables * width)
        nn.init.zeros_(self.head.weight[variables * width :].data)
        nn.init.constant_(self.head.bias[variables * width :].data, log_variance)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images in [-1, 1], (B, C, H, W), to mean and log variance of the noises, each (B, K, W)."""
        features = self.trunk(x)
        with torch.autocast(x.device.type, enabled=False):
            mean, log_variance = self.head(features.float()).chunk(2, dim=1)
        shape = (len(x), self.variables, self.width)
        return mean.view(shape), log_variance.view(shape).clamp(-12.0, 4.0)


class LabelPrior(nn.Module):
    """The prior of codes given labels.

    Arguments:
        dataset: The data set, for its variables.
        width: Dimensions W of the code of a variable.
        kind: `fixed` or `learned`.
        scale: The standard deviation of the fixed prior, or the initial one of the learned prior.
        hidden: Hidden units of the networks of the learned prior.
    """

    def __init__(
        self,
        dataset: Dataset,
        width: int,
        kind: Literal["fixed", "learned"] = "fixed",
        scale: float = 1.0,
        hidden: int = 64,
    ) -> None:
        super().__init__()
        self.variables, self.width, self.kind = dataset.variables, width, kind
        self.log_scale = math.log(scale)
        for number, variable in enumerate(self.variables):
            if variable.classes:
                self.register_buffer(f"classes{number}", _class_codes(variable, width), persistent=False)
        if kind == "learned":
            self.networks = nn.ModuleList(
                nn.Sequential(nn.Linear(variable.width, hidden), nn.SiLU(), nn.Linear(hidden, 2 * width))
                for variable in self.variables
            )
            network: Any
            for network in self.networks:
                nn.init.zeros_(network[-1].weight[width:].data)
                nn.init.constant_(network[-1].bias[width:].data, self.log_scale)

    def forward(self, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Maps encoded parents (B, P) to mean and log standard deviation of the codes, each (B, K, W)."""
        columns = parents.split([variable.width for variable in self.variables], dim=1)
        gaussians = [self._gaussian(number, column) for number, column in enumerate(columns)]
        means, log_scales = zip(*gaussians, strict=True)
        return torch.stack(means, dim=1), torch.stack(log_scales, dim=1)

    def read(self, codes: Tensor) -> Tensor:
        """Returns the most probable label of each block of codes, with shape (B, K).

        A continuous label is in the units of the encoded parents, a categorical one is the index of the class. Under
        the fixed prior, a continuous label is the mean of its block.
        """
        shown = []
        for number, variable in enumerate(self.variables):
            block = codes[:, number]
            if self.kind == "fixed" and not variable.classes:
                shown.append(block.mean(1))
                continue
            if variable.classes:
                candidates = torch.eye(variable.classes, device=codes.device)
                values = torch.arange(variable.classes, device=codes.device, dtype=block.dtype)
            else:
                values = torch.linspace(-1.5, 1.5, _GRID, device=codes.device, dtype=block.dtype)
                candidates = values[:, None]
            mean, log_scale = self._gaussian(number, candidates)
            error = 0.5 * ((block[:, None] - mean) * torch.exp(-log_scale)).square() + log_scale
            shown.append(values[error.sum(2).argmin(1)])
        return torch.stack(shown, dim=1)

    def move(self, codes: Tensor, parents: Tensor) -> Tensor:
        """Returns the codes (B, K, W) moved to the encoded parents (B, P); see the module."""
        before, after = self(self.encode(self.read(codes))), self(parents)
        return after[0] + (codes - before[0]) * torch.exp(after[1] - before[1])

    def encode(self, labels: Tensor) -> Tensor:
        """Maps labels (B, K) in the form of :meth:`read` to encoded parents (B, P)."""
        columns = [
            nn.functional.one_hot(labels[:, k].long(), variable.classes).to(labels.dtype)
            if variable.classes
            else labels[:, k, None]
            for k, variable in enumerate(self.variables)
        ]
        return torch.cat(columns, dim=1)

    def _gaussian(self, number: int, column: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log standard deviation of the block of one variable, each (B, W)."""
        if self.kind == "learned":
            mean, log_scale = self.networks[number](column).chunk(2, dim=1)
            return mean, log_scale.clamp(-6.0, 3.0)
        if self.variables[number].classes:
            mean = column @ getattr(self, f"classes{number}").to(column.dtype)
        else:
            mean = column.expand(-1, self.width)
        return mean, torch.full_like(mean, self.log_scale)


class CausalDiffAE(nn.Module):
    """Encoder, causal layer, label prior and conditional denoiser.

    Arguments:
        dataset: The data set.
        network: Arguments of the denoiser (:class:`counterfactory.nets.unet.UNet`), and `exposure`, the names of the
            variables that act as exposure.
        width: Dimensions W of the code of a variable.
        hidden: Hidden units of the mechanisms of the causal layer and of the learned prior.
        encoder: Channels of the convolutions of the encoder.
        form: The form of the causal layer, `recursive` or `one_shot`.
        prior: The label prior, `fixed` or `learned`.
        prior_scale: The standard deviation of the prior; the initial one if it is learned.
        mechanism: The mechanisms of the causal layer, `affine` or `additive`.

    Raises:
        ValueError: If the sizes do not fit the images or each other.
        UserError: If `exposure` contains a name that is not a variable.
    """

    exposure: Tensor
    denoiser: Any

    def __init__(
        self,
        dataset: Dataset,
        network: dict[str, Any],
        width: int,
        hidden: int,
        encoder: Sequence[int],
        form: Literal["recursive", "one_shot"] = "recursive",
        prior: Literal["fixed", "learned"] = "fixed",
        prior_scale: float = 1.0,
        mechanism: Literal["affine", "additive"] = "affine",
    ) -> None:
        super().__init__()
        count = len(dataset.variables)
        sizes = {name: size for name, size in network.items() if name != "exposure"}
        exposed = [dataset.variable(name).name for name in network.get("exposure", ())]
        self.conditioning = [name not in exposed for name in dataset.names]
        starts = accumulate((variable.width for variable in dataset.variables), initial=0)
        self.columns = [start for start, name in zip(starts, dataset.names, strict=False) if name in exposed]
        if self.columns:
            self.register_buffer("exposure", torch.zeros(len(self.columns)))
        self.encoder = CodeEncoder(dataset.shape, encoder, count, width, 2.0 * math.log(prior_scale))
        self.layer = CausalLayer(dataset, width, hidden, form, mechanism)
        self.prior = LabelPrior(dataset, width, prior, prior_scale, hidden)
        condition = sum(self.conditioning) * width + 1
        self.denoiser = UNet(dataset.shape, **sizes, learned_variance=False, condition=condition)

    def condition(self, codes: Tensor, keep: Tensor | None = None) -> Tensor:
        """Returns the condition of the denoiser, with shape (B, K' W + 1).

        K' is the number of variables that do not act as exposure.

        Arguments:
            codes: The codes with shape (B, K, W).
            keep: Which images have a condition, with shape (B,); the others have the null condition. None for all.
        """
        indicator = codes.new_ones(len(codes), 1) if keep is None else keep.to(codes.dtype)[:, None]
        return torch.cat([codes[:, self.conditioning].flatten(1) * indicator, indicator], dim=1)

    def expose(self, x: Tensor, parents: Tensor) -> Tensor:
        """Multiplies the brightness of images (B, C, H, W) by the gain of the parents that act as exposure."""
        return expose(x, exposure_gain(parents, self.columns, self.exposure)) if self.columns else x

    def develop(self, x: Tensor, parents: Tensor) -> Tensor:
        """Inverts :meth:`expose`."""
        return develop(x, exposure_gain(parents, self.columns, self.exposure)) if self.columns else x


def _class_codes(variable: Variable, width: int) -> Tensor:
    """Returns a row of signs for each class, (classes, W), orthogonal if W is a power of two above their number."""
    size = 2 ** max(width - 1, variable.classes).bit_length()
    # The first row, all ones, is left out: it equals the code of a continuous label at the end of its range.
    return torch.from_numpy(hadamard(size)[1 : variable.classes + 1, :width]).float()
