r"""Causal layer: maps independent noises to codes that depend on each other according to the causal graph.

Every variable k of the graph has a block of W code dimensions. In the recursive form, a code is a function of the codes
of its causes and of its own noise,

.. math:: z_k = e^{s_k(z_{\mathrm{Pa}(k)})}\, u_k + t_k(z_{\mathrm{Pa}(k)}), \qquad s_k = t_k = 0 \text{ at roots}

evaluated in topological order, so that an intervention affects exactly the descendants of the variable: the Jacobian
:math:`\partial z_k / \partial u_i` is zero if the graph has no path from i to k, and the map from noises to codes is a
bijection. CausalDiffAE (Komanduri et al., ECAI 2024, arXiv:2404.17735) has this form in the paper, which does not
specify the mechanism. The mechanism `additive` of the published code has no :math:`s_k`, and the map preserves volume.
The spread of an effect around its mean then does not change under an intervention, which is wrong if the causes also
determine the variance, as thickness does for intensity on Morpho-MNIST.

The form `one_shot` is that of the published code, :math:`z_k = f_k\big(\sum_{i \in \mathrm{Pa}(k)} u_i\big) + u_k`,
with a network at roots too. Causes act through their noises, so that effects of effects are not reached, and the code
of a root is its noise plus a learned constant. An intervention on a root sets its noise (its code then differs by that
constant); an intervention on an effect sets its code and leaves all other codes unchanged, as that code does.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...data.dataset import Dataset
from ...data.graph import causes, topological_order

__all__ = ["CausalLayer"]

_LARGEST = 4.0
"""Largest absolute log scale of a mechanism."""


class CausalLayer(nn.Module):
    """Maps noises (B, K, W) to codes (B, K, W), with one block for each of K variables.

    Arguments:
        dataset: The data set, for its causal graph.
        width: Dimensions W of the code of a variable.
        hidden: Hidden units of each mechanism.
        form: `recursive` or `one_shot`.
        mechanism: `affine` or `additive`.
    """

    def __init__(
        self,
        dataset: Dataset,
        width: int,
        hidden: int,
        form: Literal["recursive", "one_shot"] = "recursive",
        mechanism: Literal["affine", "additive"] = "affine",
    ) -> None:
        super().__init__()
        names = dataset.names
        self.form, self.affine = form, mechanism == "affine"
        self.order = [names.index(name) for name in topological_order(dataset)]
        self.causes = [[names.index(cause) for cause in causes(dataset, name)] for name in names]
        one_shot, outputs = form == "one_shot", 2 * width if self.affine else width
        self.mechanisms = nn.ModuleList(
            _mechanism(width if one_shot else width * len(above), hidden, outputs)
            if above or one_shot
            else nn.Identity()
            for above in self.causes
        )
        for network in self.mechanisms if self.affine else ():
            if isinstance(network, nn.Sequential):
                last: Any = network[-1]
                nn.init.zeros_(last.weight[width:].data)  # the initial scale is 1
                nn.init.zeros_(last.bias[width:].data)

    @property
    def roots(self) -> list[bool]:
        """Whether each variable has no cause."""
        return [not above for above in self.causes]

    def forward(
        self, noises: Tensor, do: Tensor | None = None, acted: Tensor | None = None, frozen: bool = False
    ) -> Tensor:
        """Returns the codes, with shape (B, K, W).

        Arguments:
            noises: The noises u with shape (B, K, W).
            do: The codes set by interventions, with shape (B, K, W); used only where `acted`.
            acted: Which variables of which rows are set, bool with shape (B, K).
            frozen: Whether the weights of the mechanisms receive no gradient.
        """
        if do is None or acted is None:
            do, acted = noises, torch.zeros_like(noises[:, :, 0], dtype=torch.bool)
        if self.form == "one_shot":
            return self._one_shot(noises, do, acted, frozen)
        codes: list[Tensor] = list(noises.unbind(1))
        for k in self.order:
            if self.causes[k]:
                shift, log_scale = self._moments(k, self._above(k, codes), frozen)
                codes[k] = shift + log_scale.exp() * codes[k]
            codes[k] = torch.where(acted[:, k, None], do[:, k], codes[k])
        return torch.stack(codes, dim=1)

    def noises(self, codes: Tensor) -> Tensor:
        """Inverts the layer: returns the noises (B, K, W) of the codes (B, K, W)."""
        shift, log_scale = self.moments(codes)
        return (codes - shift) * torch.exp(-log_scale)

    def moments(self, codes: Tensor, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """Returns the shift t and the log scale s of each code given its causes, each (B, K, W).

        Arguments:
            codes: The codes with shape (B, K, W).
            frozen: Whether the weights of the mechanisms receive no gradient.
        """
        blocks = list(codes.unbind(1))
        nothing = torch.zeros_like(blocks[0])
        found: list[tuple[Tensor, Tensor]] = [(nothing, nothing)] * len(blocks)
        noises = list(blocks)
        for k in self.order:
            if self.form == "one_shot":
                found[k] = self._moments(k, self._sum(k, noises), frozen)
                noises[k] = (blocks[k] - found[k][0]) * torch.exp(-found[k][1])
            elif self.causes[k]:
                found[k] = self._moments(k, self._above(k, blocks), frozen)
        shifts, log_scales = zip(*found, strict=True)
        return torch.stack(shifts, dim=1), torch.stack(log_scales, dim=1)

    def _moments(self, k: int, inputs: Tensor, frozen: bool) -> tuple[Tensor, Tensor]:
        network = self.mechanisms[k]
        weights = {name: weight.detach() for name, weight in network.named_parameters()} if frozen else {}
        output = functional_call(network, weights, inputs) if frozen else network(inputs)
        if not self.affine:
            return output, torch.zeros_like(output)
        shift, log_scale = output.chunk(2, dim=1)
        return shift, _LARGEST * torch.tanh(log_scale / _LARGEST)

    def _above(self, k: int, codes: Sequence[Tensor]) -> Tensor:
        return torch.cat([codes[i] for i in self.causes[k]], dim=1)

    def _sum(self, k: int, noises: Sequence[Tensor]) -> Tensor:
        return torch.stack([torch.zeros_like(noises[0]), *(noises[i] for i in self.causes[k])]).sum(0)

    def _one_shot(self, noises: Tensor, do: Tensor, acted: Tensor, frozen: bool) -> Tensor:
        root = torch.tensor(self.roots, device=noises.device)
        blocks = torch.where((acted & root)[:, :, None], do, noises).unbind(1)
        codes = []
        for k, block in enumerate(blocks):
            shift, log_scale = self._moments(k, self._sum(k, blocks), frozen)
            codes.append(shift + log_scale.exp() * block)
        return torch.where((acted & ~root)[:, :, None], do, torch.stack(codes, dim=1))


def _mechanism(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(), nn.Linear(hidden, outputs))
