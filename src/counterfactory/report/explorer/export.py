r"""Exports image mechanisms, mechanisms of the parents and judges as ONNX graphs that a browser evaluates.

A graph takes one image (batch 1) and all random numbers as inputs, so that it is a deterministic function. For an image
mechanism with encoder q, decoder m, s and noises :math:`\xi`, it computes abduction, action and prediction as
:mod:`counterfactory.methods.dscm` does, with the stickiness as a mask k of kept noises:

.. math:: x^* = m(z^*, \mathrm{pa}^*) + t_u\, s(z^*, \mathrm{pa}^*)\,(k \epsilon + (1 - k) \xi_x), \qquad
    u_z^* = k\, T(u_z) + (1 - k) \xi_z.

T is the transport of the latents (:mod:`counterfactory.models.image.transport`), an affine map that the page computes
and that is an input of the graph (:mod:`counterfactory.report.explorer.moments`). The calibration of the parents and
the correction of grey levels are parts of the graph, because they have few weights.

Weights are stored as float16, which halves the page, and are computed with as float32. Requires the packages `onnx` and
`onnxscript` (the optional group `explorer`).
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...data.dataset import Dataset
from ...models.image.debias import abduct_latents
from ...models.image.transport import own_noise
from ...nets.likelihood import standardise, unstandardise
from ...scm.mechanisms import CategoricalMechanism
from ...scm.model import ParentsSCM

__all__ = ["export_judge", "export_mechanism", "export_parents", "exporter_missing"]

SMALL = 64
"""Tensors with fewer values keep float32."""


def exporter_missing() -> str:
    """Returns why graphs cannot be exported, or ``""``."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed; install counterfactory[explorer]"
    return ""


class _Mechanism(nn.Module):
    """Abduction and prediction of one image as a function of tensors only."""

    def __init__(self, mechanism: Any, clipped: bool) -> None:
        super().__init__()
        self.mechanism, self.clipped = mechanism, clipped
        self.shapes = [tuple(shape) for shape in mechanism.noise_shapes]

    def forward(
        self,
        image: Tensor,
        before: Tensor,
        after: Tensor,
        noise: Tensor,
        latent_temperature: Tensor,
        residual_temperature: Tensor,
        keep_latents: Tensor,
        fresh_latents: Tensor,
        keep_pixels: Tensor,
        fresh_pixels: Tensor,
        keep_levels: Tensor,
        transport_map: Tensor,
        transport_shift: Tensor,
    ) -> Tensor:
        """Returns the counterfactual image in grey levels, float32 (1, C, H, W), neither rounded nor clipped.

        Arguments:
            image: The factual image in grey levels, (1, C, H, W).
            before: Its encoded parents, (1, P).
            after: The encoded counterfactual parents, (1, P).
            noise: Standard normal noise of the D latents, (1, D).
            latent_temperature: Factor on this noise, a scalar.
            residual_temperature: Factor on the pixel noise, a scalar.
            keep_latents: 1 for each latent whose noise is kept, else 0, (1, D).
            fresh_latents: The noises of the others, (1, D).
            keep_pixels: 1 for each pixel whose noise is kept, else 0, (1, C, H, W).
            fresh_pixels: The noises of the others, (1, C, H, W).
            keep_levels: 1 if the noise of the grey levels is kept, else 0, a scalar; without effect if the mechanism
                corrects neither levels nor parents.
            transport_map: The matrix of the transport, (D, D); without effect if the mechanism has none.
            transport_shift: Its shift, (1, D).
        """
        x = image / 127.5 - 1.0
        # The temperature scales the standard deviation of the posterior, as a factor on its noise.
        latents = abduct_latents(self.mechanism, x, before, self._split(latent_temperature * noise))
        z = [latent.z for latent in latents]
        location, log_scale = self.mechanism.predict(z, before)
        residual = standardise(x, location, log_scale, self.clipped)
        calibration, levels = self.mechanism.calibration, self.mechanism.grey_levels
        decoded = after
        if calibration is not None:
            decoded = torch.where(keep_levels > 0.5, calibration(before, after), after)
        if self.mechanism.mediated:
            location, log_scale = self.mechanism.predict(z, decoded)
        else:
            own = torch.cat([layer.flatten(1) for layer in own_noise(latents)], dim=1)
            if self.mechanism.transport is not None:
                own = own @ transport_map.T + transport_shift
            kept = keep_latents * own + (1.0 - keep_latents) * fresh_latents
            location, log_scale = self.mechanism.generate(decoded, self._split(kept))
        if levels is not None:
            residual = torch.where(keep_levels > 0.5, levels.censor(x, residual, before, after), residual)
        residual = keep_pixels * residual + (1.0 - keep_pixels) * fresh_pixels
        predicted = unstandardise(residual_temperature * residual, location, log_scale, self.clipped)
        if levels is not None:
            predicted = torch.where(keep_levels > 0.5, levels(x, predicted, before, after), predicted)
        return (predicted + 1.0) * 127.5

    def _split(self, flat: Tensor) -> list[Tensor]:
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)]).tolist()
        parts = [flat[:, start:end] for start, end in pairwise(ends)]
        return [part.reshape(1, *shape) for part, shape in zip(parts, self.shapes, strict=True)]


class _Parents(nn.Module):
    """Counterfactuals of the parents of one image as a function of tensors only."""

    def __init__(self, scm: ParentsSCM) -> None:
        super().__init__()
        self.scm = scm
        self.names = list(scm.dataset.names)

    def forward(
        self, values: Tensor, acted: Tensor, action: Tensor, keep: Tensor, normals: Tensor, gumbels: Tensor
    ) -> Tensor:
        """Returns the parents afterwards in physical units, float32 (1, V).

        Arguments:
            values: Factual parents in physical units, (1, V).
            acted: 1 for each variable that is set, else 0, (1, V).
            action: The values that variables are set to, (1, V).
            keep: 1 for each variable whose noise is kept, 0 where it is redrawn, (1, V).
            normals: Standard normal noise for redrawn continuous variables, (1, V).
            gumbels: Standard Gumbel noise, twice for each variable: of the abduction and redrawn, (1, V, 2, K).
        """
        factual = {name: values[:, k] for k, name in enumerate(self.names)}
        found: dict[str, Tensor] = {}
        reached: dict[str, Tensor] = {}
        for name in self.scm.order:
            k, variable = self.names.index(name), self.scm.dataset.variable(name)
            mechanism: Any = self.scm.mechanism(name)
            context, own = self.scm.context(name, found), self.scm.context(name, factual)
            touched = 1.0 - keep[:, k]
            for cause in self.scm.causes[name]:
                touched = torch.maximum(touched, reached[cause])
            if isinstance(mechanism, CategoricalMechanism):
                drawn = gumbels[:, k, :, : variable.classes]
                noise = _posterior(mechanism.logits(own), factual[name].long(), drawn[:, 0])
                noise = torch.where(keep[:, k : k + 1] > 0.5, noise, drawn[:, 1])
                value = (mechanism.logits(context) + noise).argmax(-1).float()
            else:
                span = 0.5 * (variable.high - variable.low)
                scaled = (factual[name] - variable.low) / span - 1.0
                noise = torch.where(keep[:, k] > 0.5, mechanism.abduct(scaled, own), normals[:, k])
                value = variable.low + span * (mechanism.predict(noise, context) + 1.0)
            value = torch.where(touched > 0.5, value, factual[name])
            found[name] = torch.where(acted[:, k] > 0.5, action[:, k], value)
            reached[name] = torch.maximum(touched, acted[:, k])
        return torch.stack([found[name] for name in self.names], 1)


def _posterior(logits: Tensor, observed: Tensor, gumbels: Tensor) -> Tensor:
    """Returns Gumbel noise given the observed class (:func:`counterfactory.scm.gumbel.gumbel_posterior`)."""
    logits = logits.expand_as(gumbels)
    winner = torch.nn.functional.one_hot(observed, logits.shape[-1]).bool()
    top = logits.logsumexp(-1, keepdim=True) + (gumbels * winner).sum(-1, keepdim=True)
    scores = -torch.logaddexp(-(logits + gumbels), -top)
    return torch.where(winner, top, torch.minimum(scores, top - 1e-5)) - logits


class _Judge(nn.Module):
    """The outputs of a judge: the mean on the scale of network inputs, or the logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        found: Any = self.network(image / 127.5 - 1.0)
        return found.logits if hasattr(found, "logits") else found.mean.reshape(1, 1)


def export_mechanism(mechanism: Any, width: int, clipped: bool = False) -> bytes:
    """Returns the graph of an image mechanism; its inputs are those of the forward pass above.

    Arguments:
        mechanism: A trained image mechanism.
        width: The width P of the encoded parents.
        clipped: Whether the pixel noise is that of causal-gen (`answers.residual`).
    """
    size = sum(int(np.prod(shape)) for shape in mechanism.noise_shapes)
    shape = (1, *mechanism.shape)
    one = torch.ones(())
    image, parents, noise = torch.rand(shape) * 255, torch.rand(1, width), torch.randn(1, size)
    inputs = {
        "image": image,
        "before": parents,
        "after": parents * 0.5,
        "noise": noise,
        "latent_temperature": one,
        "residual_temperature": one * 0.9,
        "keep_latents": torch.ones_like(noise),
        "fresh_latents": noise * 0.3,
        "keep_pixels": torch.ones(shape),
        "fresh_pixels": torch.randn(shape),
        "keep_levels": one,
        "transport_map": torch.eye(size if mechanism.transport is not None else 0),
        "transport_shift": torch.zeros(1, size if mechanism.transport is not None else 0),
    }
    if mechanism.mediated:  # they would not reach the output
        inputs |= {"keep_latents": torch.ones(1, 0), "fresh_latents": torch.ones(1, 0)}
    return _export(_Mechanism(mechanism, clipped), inputs)


def export_parents(scm: ParentsSCM) -> bytes:
    """Returns the graph of the mechanisms of the parents, in float32."""
    dataset, count = scm.dataset, len(scm.dataset.names)
    classes = max([variable.classes for variable in dataset.variables] + [1])
    middle = [
        0.0 if variable.kind == "categorical" else 0.5 * (variable.low + variable.high)
        for variable in dataset.variables
    ]
    values = torch.tensor([middle])
    inputs = {
        "values": values,
        "acted": torch.zeros(1, count),
        "action": values.clone(),
        "keep": torch.ones(1, count),
        "normals": torch.zeros(1, count),
        "gumbels": torch.zeros(1, count, 2, classes),
    }
    return _export(_Parents(_single(scm)), inputs)


def export_judge(network: nn.Module, dataset: Dataset) -> bytes:
    """Returns the graph of a judge without context: the scaled mean (1, 1), or logits (1, K)."""
    return _export(_Judge(network), {"image": torch.rand(1, *dataset.shape) * 255})


def _single(scm: ParentsSCM) -> ParentsSCM:
    """Returns a copy of the mechanisms in float32."""
    import copy

    return copy.deepcopy(scm).float()


def _export(model: nn.Module, inputs: Mapping[str, Tensor]) -> bytes:
    """Returns the graph of a model in ONNX, with float16 weights; the inputs have the names of the arguments."""
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["output"],
            dynamo=True,
            verbose=False,
            optimize=True,
        )
    assert program is not None
    return _halved(program.model_proto)


def _halved(graph: Any) -> bytes:
    """Stores large float32 weights as float16, with a cast that the browser folds when it loads the graph."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kept: list[Any] = []
    casts: list[Any] = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL or np.abs(values).max() > 6e4:
            kept.append(tensor)
            continue
        name = f"{tensor.name}_half"
        kept.append(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes: Sequence[Any] = [*casts, *graph.graph.node]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.value_info[:], graph.graph.metadata_props[:], graph.metadata_props[:]
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())
