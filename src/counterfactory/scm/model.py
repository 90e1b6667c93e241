r"""The structural causal model of the parents of the image, and their counterfactuals.

Every variable is a mechanism of its causes and of its exogenous noise, :math:`x_k = f_k(\mathrm{pa}_k, u_k)`. A
counterfactual has three steps (Pearl, 2009, *Causality*, theorem 7.1.7):

1. *Abduction.* The noises given the factual values: :math:`u_k = f_k^{-1}(x_k; \mathrm{pa}_k)`, drawn from the
   posterior if :math:`x_k` is categorical.
2. *Action.* :math:`\mathrm{do}(x_j = v)`: the mechanism of :math:`x_j` is replaced by the constant v.
3. *Prediction.* The values from the same noises, causes before effects.

Values are float64 in physical units; a class is its index. Mechanisms and densities use the scale of network inputs:
the log-density of a continuous variable is that of x scaled to [-1, 1].
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pyro
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import UserError
from ..core.noise import Seeds, generator
from ..data.dataset import Dataset, Variable
from ..data.graph import causes, topological_order
from .gumbel import gumbel_noise
from .mechanisms import CategoricalMechanism, Mechanism, build_mechanism
from .noise_kernels import Sticky, gumbel, standard_normal, streams

__all__ = ["Columns", "ParentsSCM"]

Columns = Mapping[str, Tensor | np.ndarray]
"""Values of variables by name, each with shape (N,)."""


class ParentsSCM(nn.Module):
    """The structural causal model over the variables of a data set.

    Arguments:
        dataset: The data set, which defines the variables and the graph.
        bins: The number of bins of the spline flow of a continuous root.
        hidden: The widths of the hidden layers of the conditioners.
        seed: The seed of the initial weights.

    Raises:
        UserError: If the graph is not a directed acyclic graph over the variables.
    """

    def __init__(
        self, dataset: Dataset, bins: int = 8, hidden: Sequence[int] = (16, 16), seed: int = 0
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.order = topological_order(dataset)
        self.causes = {name: causes(dataset, name) for name in dataset.names}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.mechanisms = nn.ModuleList(
                build_mechanism(variable, self._width(variable.name), bins, hidden)
                for variable in dataset.variables
            )
        self.double()

    def mechanism(self, name: str) -> Mechanism:
        """Returns the mechanism of the variable called `name`."""
        return cast(Mechanism, self.mechanisms[self.dataset.names.index(name)])

    def log_prob(self, parents: Columns) -> dict[str, Tensor]:
        """Returns the log-density of each variable given its causes, in nats, each with shape (N,).

        Their sum is the joint log-density, of continuous variables scaled to [-1, 1].

        Raises:
            UserError: If a variable is missing or has an invalid value.
        """
        values = self.read(parents)
        return {name: self.mechanism(name).log_prob(*self.view(name, values)) for name in self.dataset.names}

    def abduct(self, parents: Columns, seeds: Seeds) -> dict[str, Tensor]:
        """Returns the exogenous noises of factual values.

        Arguments:
            parents: All variables, each with shape (N,), in physical units.
            seeds: The seed of each row, with shape (N,); the noise of a categorical variable is drawn from its
            posterior.

        Returns:
            The noise of each variable: (N,), standard normal a priori, or (N, K), standard Gumbel a priori.

        Raises:
            UserError: If a variable is missing or has an invalid value.
        """
        values = self.read(parents)
        noises = {}
        for variable in self.dataset.variables:
            name = variable.name
            mechanism = self.mechanism(name)
            if isinstance(mechanism, CategoricalMechanism):
                gumbels = gumbel_noise(seeds, variable.classes, "abduction", name).to(self._device())
                noises[name] = mechanism.abduct(*self.view(name, values), gumbels)
            else:
                noises[name] = mechanism.abduct(*self.view(name, values))
        return noises

    def predict(self, noises: Mapping[str, Tensor], do: Columns | None = None) -> dict[str, Tensor]:
        """Returns the values that the mechanisms give for noises under an intervention.

        Arguments:
            noises: The noise of each variable, as :meth:`abduct` returns it.
            do: The values of the intervention, each with shape (N,), in physical units; NaN where a variable is not
            set.

        Returns:
            All variables, each with shape (N,), in physical units.

        Raises:
            UserError: If `do` has an unknown variable or an invalid value.
        """
        return self._propagate(noises, self._read_do(do or {}), {})

    def counterfactual(
        self, parents: Columns, do: Columns, seeds: Seeds, stickiness: float = 1.0, step: int = 0
    ) -> dict[str, Tensor]:
        """Returns the counterfactual values under an intervention: abduction, action, prediction.

        In each row, a variable that is neither set nor a descendant of a variable that is set keeps its factual value,
        bit for bit.

        Arguments:
            parents: The factual values of all variables, each with shape (N,), in physical units.
            do: The values of the intervention, each with shape (N,), in physical units; NaN where a variable is not
                set, so that a batch can contain different interventions.
            seeds: The seed of each row, with shape (N,).
            stickiness: The probability that an abducted noise is kept instead of being redrawn from its prior, in
                [0, 1] (the extended structural model, :mod:`counterfactory.esm`). A variable whose noise is redrawn
                does not keep its factual value.
            step: The number of actions already applied to these rows; it selects the random stream.

        Returns:
            All variables, each with shape (N,), in physical units.

        Raises:
            UserError: If a variable is missing, unknown or has an invalid value.
        """
        noises, redrawn = self.abduct(parents, seeds), {}
        if stickiness < 1.0:
            for name, noise in noises.items():
                noises[name], redrawn[name] = _stick(name, noise, seeds, stickiness, step)
        return self._propagate(noises, self._read_do(do), self.read(parents), redrawn)

    @torch.no_grad()
    def counterfactual_table(
        self,
        parents: Mapping[str, np.ndarray],
        do: Mapping[str, np.ndarray],
        seeds: Seeds,
        stickiness: float = 1.0,
        step: int = 0,
    ) -> dict[str, np.ndarray]:
        """Returns the result of :meth:`counterfactual` as numpy arrays, without gradients."""
        values = self.counterfactual(parents, do, seeds, stickiness, step)
        return {name: value.cpu().numpy() for name, value in values.items()}

    @torch.no_grad()
    def sample(self, count: int, seed: int, do: Columns | None = None) -> dict[str, Tensor]:
        """Draws rows of all variables from the joint distribution or, with `do`, from the interventional one.

        Arguments:
            count: The number of rows N.
            seed: The seed of the noises.
            do: The values of the intervention, as in :meth:`predict`.

        Returns:
            All variables, each with shape (N,), in physical units.
        """
        noises = {}
        for variable in self.dataset.variables:
            stream = generator(seed, "sample", variable.name)
            if variable.kind == "categorical":
                noise = stream.gumbel(size=(count, variable.classes))
            else:
                noise = stream.standard_normal(count)
            noises[variable.name] = torch.from_numpy(noise).to(self._device())
        return self.predict(noises, do)

    def model(self, count: int) -> dict[str, Tensor]:
        """Defines the joint distribution as a Pyro model, with one sample site per variable.

        Continuous sites are scaled to [-1, 1] and have event shape (1,).

        Arguments:
            count: The number of rows N.

        Returns:
            All variables, each with shape (N,), in physical units.
        """
        values: dict[str, Tensor] = {}
        with pyro.plate("rows", count):
            for name in self.order:
                variable = self.dataset.variable(name)
                site = pyro.sample(name, self.mechanism(name).distribution(self.context(name, values)))
                value = site if variable.kind == "categorical" else site.squeeze(-1)
                values[name] = _physical(variable, value)
        return values

    def context(self, name: str, values: Mapping[str, Tensor]) -> Tensor | None:
        """Returns the encoded causes of `name`, (N, P), or None for a root.

        Arguments:
            name: A variable.
            values: The values of its causes, each with shape (N,), in physical units.
        """
        columns = []
        # Of the type of the weights, which the explorer exports in float32.
        dtype = next(self.parameters()).dtype
        for cause in self.causes[name]:
            variable = self.dataset.variable(cause)
            value = _scaled(variable, values[cause])
            one_hot = variable.kind == "categorical"
            columns.append(F.one_hot(value, variable.classes).to(dtype) if one_hot else value.unsqueeze(-1))
        return torch.cat(columns, dim=-1) if columns else None

    def view(self, name: str, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Returns the scaled value (N,) and the encoded causes (N, P) of `name`, the inputs of its mechanism."""
        return _scaled(self.dataset.variable(name), values[name]), self.context(name, values)

    def _propagate(
        self,
        noises: Mapping[str, Tensor],
        do: Mapping[str, Tensor],
        factual: Mapping[str, Tensor],
        redrawn: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Computes causes before effects; values that no intervention affects are copied from `factual`."""
        values: dict[str, Tensor] = {}
        reached: dict[str, Tensor] = {}
        for name in self.order:
            predicted = self.mechanism(name).predict(noises[name], self.context(name, values))
            value = _physical(self.dataset.variable(name), predicted)
            touched = torch.zeros_like(value, dtype=torch.bool)
            if redrawn and name in redrawn:
                touched = redrawn[name]
            for cause in self.causes[name]:
                touched = touched | reached[cause]
            if name in factual:
                value = torch.where(touched, value, factual[name])
            if name in do:
                acted = ~do[name].isnan()
                value, touched = torch.where(acted, do[name], value), touched | acted
            values[name], reached[name] = value, touched
        return {name: values[name] for name in self.dataset.names}

    def read(self, parents: Columns) -> dict[str, Tensor]:
        """Returns all variables as float64 tensors on this model's device, each with shape (N,).

        Raises:
            UserError: If a variable is missing or has an invalid value.
        """
        missing = [name for name in self.dataset.names if name not in parents]
        if missing:
            raise UserError(f"{missing[0]}: missing; provide all of {', '.join(self.dataset.names)}")
        values = {name: self._column(name, parents[name]) for name in self.dataset.names}
        for name, value in values.items():
            if value.isnan().any():
                raise UserError(f"{name}: contains NaN; every row needs a value")
            if len(value) != len(values[self.dataset.names[0]]):
                raise UserError(
                    f"{name}: has {len(value)} rows, unlike the other variables; provide one value per row"
                )
        return values

    def _read_do(self, do: Columns) -> dict[str, Tensor]:
        return {self.dataset.variable(name).name: self._column(name, value) for name, value in do.items()}

    def _column(self, name: str, value: Tensor | np.ndarray) -> Tensor:
        """Returns a column as float64; raises UserError for infinities and for invalid classes (NaN is allowed)."""
        variable = self.dataset.variable(name)
        if not isinstance(value, Tensor):
            value = torch.from_numpy(
                np.array(value, dtype=np.float64)
            )  # a copy: pandas' columns are read-only
        column = value.to(self._device(), torch.float64)
        if column.ndim != 1:
            raise UserError(f"{name}: has shape {tuple(column.shape)}; provide one value per row")
        if column.isinf().any():
            raise UserError(f"{name}: contains an infinite value; provide finite ones")
        if variable.kind == "categorical":
            present = column[~column.isnan()]
            wrong = present[(present != present.round()) | (present < 0) | (present >= variable.classes)]
            if len(wrong):
                last = variable.classes - 1
                raise UserError(f"{name}: {wrong[0]:g} is not a class; classes are 0 to {last}")
        return column

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _width(self, name: str) -> int:
        return sum(self.dataset.variable(cause).width for cause in self.causes[name])


def _stick(name: str, noise: Tensor, seeds: Seeds, stickiness: float, step: int) -> tuple[Tensor, Tensor]:
    """Returns the counterfactual noise and the redrawn rows (N,); the K noises of a class are redrawn together."""
    prior, width = (standard_normal, 1) if noise.ndim == 1 else (gumbel, noise.shape[1])
    kernel = Sticky(stickiness, prior, blocks=[0] * width)
    keep, value = (
        torch.from_numpy(part).to(noise.device)
        for part in kernel.draw(width, streams(seeds, "stickiness", name, step))
    )
    kept = keep[:, 0]
    return torch.where(keep, noise.view(-1, width), value).view(noise.shape), ~kept


def _scaled(variable: Variable, value: Tensor) -> Tensor:
    """Maps physical units to the scale of the mechanisms: [low, high] to [-1, 1], or int64 classes."""
    if variable.kind == "categorical":
        return value.long()
    return 2.0 * (value - variable.low) / (variable.high - variable.low) - 1.0


def _physical(variable: Variable, value: Tensor) -> Tensor:
    """Inverts :func:`_scaled`, as float64."""
    if variable.kind == "categorical":
        return value.double()
    return variable.low + 0.5 * (value + 1.0) * (variable.high - variable.low)
