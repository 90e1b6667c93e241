r"""The causal layer: from independent noises to codes that depend on each other as the causal graph says.

Every variable k of the graph has a block of W code dimensions. With the recursive form a code is a function of its
causes' codes and of its own noise,

.. math:: z_k = f_k\big(z_{\mathrm{Pa}(k)}\big) + u_k, \qquad f_k = 0 \text{ at roots}

computed causes first, so that an intervention on any variable reaches all that descends from it and nothing else: the
Jacobian :math:`\partial z_k / \partial u_i` is exactly zero where the graph has no path from i to k, and the map from
noises to codes is a bijection of unit volume (CausalDiffAE as written, Komanduri et al., ECAI 2024, arXiv:2404.17735).

The published code takes one shot, :math:`z_k = f_k\big(\sum_{i \in \mathrm{Pa}(k)} u_i\big) + u_k`, with a network at
roots too: causes act by their noises, so that what lies two edges away is not reached, and a root's code is its noise
plus a learned constant. That is the form `one_shot`; there an intervention on a root sets its noise (its code is then
off by that constant), one on an effect sets its code and leaves all other codes alone, as published.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..data.dataset import Dataset
from ..scm.graph import causes, topological_order

__all__ = ["CausalLayer"]


class CausalLayer(nn.Module):
    """Maps noises (B, K, W) to codes (B, K, W), one block for each of K variables.

    Arguments:
        dataset: The data set, whose graph it takes.
        width: Dimensions W of a variable's code.
        hidden: Hidden units of each mechanism.
        form: `recursive` or `one_shot`.
    """

    def __init__(
        self,
        dataset: Dataset,
        width: int,
        hidden: int,
        form: Literal["recursive", "one_shot"] = "recursive",
    ) -> None:
        super().__init__()
        names = dataset.names
        self.form = form
        self.order = [names.index(name) for name in topological_order(dataset)]
        self.causes = [[names.index(cause) for cause in causes(dataset, name)] for name in names]
        one_shot = form == "one_shot"
        self.mechanisms = nn.ModuleList(
            _mechanism(width if one_shot else width * len(above), hidden, width)
            if above or one_shot
            else nn.Identity()
            for above in self.causes
        )

    @property
    def roots(self) -> list[bool]:
        """Whether each variable has no cause."""
        return [not above for above in self.causes]

    def forward(self, noises: Tensor, do: Tensor | None = None, acted: Tensor | None = None) -> Tensor:
        """Returns the codes.

        Arguments:
            noises: The noises u with shape (B, K, W).
            do: The codes that variables are set to, (B, K, W); read only where `acted`.
            acted: Which variables of which rows are set, bool with shape (B, K).
        """
        if do is None or acted is None:
            do, acted = noises, torch.zeros_like(noises[:, :, 0], dtype=torch.bool)
        if self.form == "one_shot":
            return self._one_shot(noises, do, acted)
        codes: list[Tensor | None] = [None] * len(self.causes)
        for k in self.order:
            code = noises[:, k] + self._drift(k, codes) if self.causes[k] else noises[:, k]
            codes[k] = torch.where(acted[:, k, None], do[:, k], code)
        return torch.stack(codes, dim=1)

    def drift(self, codes: Tensor, noises: Tensor) -> Tensor:
        """Returns what each code owes to its causes, (B, K, W): what is left is its noise.

        Arguments:
            codes: The codes with shape (B, K, W).
            noises: The noises that gave them, likewise; the one-shot form reads these instead.
        """
        if self.form == "one_shot":
            return (
                self._one_shot(noises, noises, torch.zeros_like(noises[:, :, 0], dtype=torch.bool)) - noises
            )
        blocks = list(codes.unbind(1))
        nothing = torch.zeros_like(blocks[0])
        drifts = [self._drift(k, blocks) if above else nothing for k, above in enumerate(self.causes)]
        return torch.stack(drifts, dim=1)

    def _drift(self, k: int, codes: Sequence[Tensor | None]) -> Tensor:
        return self.mechanisms[k](torch.cat([codes[i] for i in self.causes[k]], dim=1))

    def _one_shot(self, noises: Tensor, do: Tensor, acted: Tensor) -> Tensor:
        root = torch.tensor(self.roots, device=noises.device)
        noises = torch.where((acted & root)[:, :, None], do, noises)
        sums = [noises[:, above].sum(1) if above else torch.zeros_like(noises[:, 0]) for above in self.causes]
        drifts = [mechanism(total) for mechanism, total in zip(self.mechanisms, sums, strict=True)]
        return torch.where((acted & ~root)[:, :, None], do, noises + torch.stack(drifts, dim=1))


def _mechanism(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(), nn.Linear(hidden, outputs))
