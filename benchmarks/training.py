"""Measures how many images per CPU-second the published image mechanisms are trained on (forward and backward pass).

    python benchmarks/training.py                  # rates, alternating with the plain implementation
    python benchmarks/training.py --curve 3200     # training loss per image, side by side

*plain* is the same network with the same weights in the usual implementation: (B, C, H, W) memory, inputs concatenated
before each convolution, parents as constant maps, PyTorch operations in float32, batches of 32. *ours* is the
implementation that trains the models. Rates are per second of CPU time of this process with one thread. Both
implementations alternate in one process, because other work on the machine affects caches and memory; the ratio of
neighbouring measurements is therefore more reliable than a single rate. The time includes the drawing of noise, but not
the step of the optimizer.
"""

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfactory.models.image import native
from counterfactory.models.image.hvae import Hvae
from counterfactory.models.image.hvae_layers import DecoderBlock
from counterfactory.models.image.vae import Vae
from counterfactory.nets.blocks import Block
from counterfactory.nets.likelihood import discretised_gaussian_nll

Network = TypeVar("Network", Vae, Hvae)

PARENTS, SHAPE = 12, (1, 32, 32)
PUBLISHED = {"hvae": 74.0, "vae": 1100.0}
Bound = Callable[[Any, Tensor, Tensor, list[Tensor]], tuple[Tensor, Tensor]]
"""From a network, images, encoded parents and noise to both terms of the negative ELBO, in nats per pixel."""


def plain_block(block: Block, x: Tensor) -> Tensor:
    """Applies a block to the concatenation of its inputs."""
    h = x
    for layer in block.layers:
        h = layer(block.activation(h))
    if block.residual:
        h = h + (x if block.projection is None else block.projection(x))
    return F.avg_pool2d(h, block.down) if block.down > 1 else h


def plain_layer(
    block: DecoderBlock, h: Tensor, state: Tensor, activation: Tensor, maps: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the next states of the main and of the prior path, and the KL divergence of one stochastic layer."""
    width = h.shape[1]
    p = plain_block(block.prior, torch.cat([state, maps], dim=1) if block.conditional else state)
    p_loc, p_log, features = p.split([block.latent, block.latent, width], dim=1)
    q_loc, q_log = plain_block(block.posterior, torch.cat([h, maps, activation], dim=1)).chunk(2, dim=1)
    z = q_loc + q_log.exp() * eps
    kl = p_log - q_log - 0.5 + 0.5 * (q_log.exp() ** 2 + (q_loc - p_loc) ** 2) / p_log.exp() ** 2
    h = plain_block(block.body, h + features + block.from_latent(torch.cat([z, maps], dim=1)))
    return h, block.to_prior(torch.cat([z, features], dim=1)), kl


def plain_hvae(model: Hvae, x: Tensor, parents: Tensor, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns both terms of the negative ELBO of the hierarchical VAE in the plain implementation."""
    h, activations = model.encoder.stem(x), {}
    stages: Any = model.encoder.stages
    for stage in stages:
        for block in stage:
            if block.down > 1:
                activations[h.shape[-1]] = h
            h = plain_block(block, h)
    activations[h.shape[-1]] = h
    everywhere = parents[:, :, None, None].repeat(1, 1, *x.shape[2:])
    h = state = model.starts["1"].repeat(len(x), 1, 1, 1)
    divergences = []
    layers: Any = model.decoder
    for block, eps in zip(layers, noise, strict=True):
        r = block.resolution
        if h.shape[-1] < r:
            h = F.interpolate(h, scale_factor=r // h.shape[-1]) + model.starts[str(r)]
            state = F.interpolate(state, scale_factor=r // state.shape[-1]) + model.starts[str(r)]
        h, state, divergence = plain_layer(block, h, state, activations[r], everywhere[:, :, :r, :r], eps)
        divergences.append(divergence)
    nll = discretised_gaussian_nll(x, *model.head(h, parents)).mean()
    kl: Any = sum(one.sum((1, 2, 3)).mean() for one in divergences)
    return nll, kl / x[0].numel()


def reorder(posterior: nn.Conv2d, width: int) -> None:
    """Reorders the input channels of the posterior's convolution to (h, parents, activation)."""
    state, activation, parents = posterior.weight.data.split([width, width, PARENTS], dim=1)
    posterior.weight.data = torch.cat([state, parents, activation], dim=1)


def plain_of(model: Network) -> Network:
    """Returns a copy for the plain implementation, in (B, C, H, W) memory."""
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if isinstance(model, Hvae):
        layers: Any = model.decoder
        for block in layers:
            reorder(block.posterior.layers[0], block.body.layers[0].in_channels)
    return model


def ours(model: Vae | Hvae, x: Tensor, parents: Tensor, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns both terms of the negative ELBO as in training: by the compiled kernels if they support the network."""
    if isinstance(model, Hvae) and native.suits(model, x) and native.available():
        return native.elbo(model, x, parents, noise)[:2]
    return model.elbo(x, parents, noise)[:2]


def torch_only(model: Vae | Hvae, x: Tensor, parents: Tensor, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns both terms of the negative ELBO by PyTorch operations, as in training without the compiled kernels."""
    return model.elbo(x, parents, noise)[:2]


def draw(model: Vae | Hvae, count: int, generator: torch.Generator) -> list[Tensor]:
    """Returns standard normal noise for `count` images, one tensor (B, Z, H, W) per layer."""
    return [torch.randn(count, *shape, generator=generator) for shape in model.noise_shapes]


class Contender:
    """One implementation of a network's bound, with one batch size.

    Arguments:
        name: Its name in the output.
        model: The network.
        bound: The implementation.
        batch: The batch size.
        bfloat16: Whether it runs under autocast to bfloat16.
    """

    def __init__(
        self,
        name: str,
        model: Vae | Hvae,
        bound: Bound,
        batch: int,
        bfloat16: bool = False,
    ) -> None:
        self.name, self.model, self.bound, self.batch = name, model, bound, batch
        self.bfloat16 = bfloat16
        self.generator = torch.Generator().manual_seed(0)
        self.rates: list[float] = []

    def step(self, x: Tensor, parents: Tensor, noise: list[Tensor] | None = None) -> float:
        """Computes the gradient of the loss, stored in the parameters, and returns the loss."""
        noise = noise or draw(self.model, len(x), self.generator)
        self.model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            nll, kl = self.bound(self.model, x, parents, noise)
        (nll + kl).backward()
        return float((nll + kl).detach())

    def measure(self, x: Tensor, parents: Tensor, images: int) -> None:
        """Appends the rate over `images` images, in images per CPU-second, to `rates`."""
        began = time.process_time()
        for start in range(0, images, self.batch):
            at = start % (len(x) - self.batch + 1)
            self.step(x[at : at + self.batch], parents[at : at + self.batch])
        self.rates.append(images / (time.process_time() - began))


def compare(
    contenders: list[Contender], published: float, data: tuple[Tensor, Tensor], args: argparse.Namespace
) -> None:
    """Prints the rates of contenders that alternate; the first is the reference."""
    for contender in contenders:
        contender.measure(*data, 2 * contender.batch)
        contender.rates.clear()
    for _ in range(args.rounds):
        for contender in contenders:
            contender.measure(*data, args.images)
    for contender in contenders:
        rates = contender.rates
        ratios = [ours / plain for ours, plain in zip(rates, contenders[0].rates, strict=True)]
        print(
            f"{contender.name}, batch {contender.batch}: {median(rates):.0f} images/CPU-s "
            f"({min(rates):.0f}-{max(rates):.0f}); {median(ratios):.2f} times plain "
            f"({min(ratios):.2f}-{max(ratios):.2f}), "
            f"{median(rates) / published:.2f} times the published code's {published:.0f}",
            flush=True,
        )


def agreement(model: Hvae, plain: Hvae, x: Tensor, parents: Tensor) -> None:
    """Prints the deviation of both implementations from the plain one in float64, for the same noise."""
    noise = draw(model, len(x), torch.Generator().manual_seed(1))
    gradients = []
    exact = copy.deepcopy(plain).double()
    # The head of the package always computes in float32; here it must not.
    head: Any = exact.head
    head.forward = lambda h, parents: (head.location(h), head.log_scale(h).clamp(min=-9.0))
    layers: Any = model.decoder
    ways: list[tuple[Hvae, Bound]] = [(exact, plain_hvae), (plain, plain_hvae), (model, ours)]
    for network, bound in ways:
        dtype = next(network.parameters()).dtype
        network.zero_grad(set_to_none=True)
        nll, kl = bound(network, x.to(dtype), parents.to(dtype), [eps.to(dtype) for eps in noise])
        (nll + kl).backward()
        named = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        if network is model:
            for number, block in enumerate(layers):
                name = f"decoder.{number}.posterior.layers.0.weight"
                h, activation, tail = named[name].split(
                    [block.body.layers[0].in_channels] * 2 + [PARENTS], dim=1
                )
                named[name] = torch.cat([h, tail, activation], dim=1)
        gradients.append(
            {name: g.double() for name, g in named.items()} | {"loss": (nll + kl).detach().double()}
        )
    for label, found in (("plain", gradients[1]), ("ours", gradients[2])):
        errors = [
            float((found[name] - g).norm() / (g.norm() + 1e-12))
            for name, g in gradients[0].items()
            if g.any()
        ]
        print(
            f"{label} in float32 from plain in float64: loss {errors[-1]:.1e}, gradients of the "
            f"{len(errors) - 1} weights {median(errors[:-1]):.1e} (median), {max(errors[:-1]):.1e} (largest), relative"
        )


def batches(x: Tensor, parents: Tensor, size: int, images: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields random batches, which are the same in every call."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(images // size):
        rows = torch.randint(0, len(x), (size,), generator=generator)
        yield x[rows], parents[rows]


def curve(contenders: list[Contender], data: tuple[Tensor, Tensor], images: int) -> None:
    """Trains all contenders on the same images and noise, with the published optimizer, and prints their losses."""
    optimizers = [
        torch.optim.AdamW(c.model.parameters(), lr=1e-3, betas=(0.9, 0.9), weight_decay=0.01)
        for c in contenders
    ]
    generator = torch.Generator().manual_seed(3)
    sums, count, every = [0.0] * len(contenders), 0, max(1, images // contenders[0].batch // 20)
    print(
        f"images  {'  '.join(f'{c.name:>12}' for c in contenders)}   nats per pixel, mean since the previous line"
    )
    for step, (x, parents) in enumerate(batches(*data, contenders[0].batch, images), 1):
        noise = draw(contenders[0].model, len(x), generator)
        for i, (contender, optimizer) in enumerate(zip(contenders, optimizers, strict=True)):
            sums[i] += contender.step(x, parents, noise)
            nn.utils.clip_grad_norm_(contender.model.parameters(), 350.0)
            optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, step / 100)
            optimizer.step()
        count += 1
        if count == every:
            print(f"{step * len(x):6d}  {'  '.join(f'{total / count:12.4f}' for total in sums)}", flush=True)
            sums, count = [0.0] * len(contenders), 0


def load(folder: Path | None) -> tuple[Tensor, Tensor]:
    """Returns images in [-1, 1] and encoded parents: of a train split, or blurred noise with random parents."""
    generator = torch.Generator().manual_seed(4)
    if folder is None:
        coarse = torch.rand(512, 1, 8, 8, generator=generator)
        images = F.interpolate(coarse, size=32, mode="bilinear").sub(0.55).clamp(min=0).mul(255 / 0.45)
        return images.round() / 127.5 - 1, torch.randn(512, PARENTS, generator=generator)
    from counterfactory.data.dataset import encode_parents, load_dataset, load_split

    split = load_split(folder, "train")
    parents = encode_parents(load_dataset(folder), split.attributes)
    return torch.from_numpy(np.array(split.images)).float() / 127.5 - 1, torch.from_numpy(parents)


def main() -> None:
    """Prints the rates, or with --curve the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of a data set (default: synthetic images)")
    parser.add_argument("--batch", type=int, default=32, help="batch size of ours (default: 32)")
    parser.add_argument("--images", type=int, default=128, help="images per measurement (default: 128)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: 9)")
    parser.add_argument("--curve", type=int, metavar="IMAGES", help="train both on this many images instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    data = load(args.data)
    hvae, vae = Hvae(SHAPE, PARENTS), Vae(SHAPE, PARENTS)
    print(
        f"{sum(p.numel() for p in hvae.parameters()):,} and {sum(p.numel() for p in vae.parameters()):,} parameters; "
        f"compiled kernels: {native.available()}"
    )
    plain_model = plain_of(hvae)
    plain = Contender("hvae plain", plain_model, plain_hvae, 32)
    if args.curve:
        mine = Contender("hvae ours", hvae, ours, 32)
        curve([plain, mine], data, args.curve)
        return
    agreement(hvae, plain_model, data[0][:16], data[1][:16])
    compare(
        [
            plain,
            Contender("hvae ours", hvae, ours, args.batch),
            Contender("hvae ours without compiler", hvae, torch_only, args.batch),
        ],
        PUBLISHED["hvae"],
        data,
        args,
    )
    args.images *= 8
    compare(
        [
            Contender("vae plain", plain_of(vae), torch_only, 32),
            Contender("vae ours", vae, ours, 256),
            Contender("vae ours, bfloat16", vae, ours, 256, bfloat16=True),
        ],
        PUBLISHED["vae"],
        data,
        args,
    )


if __name__ == "__main__":
    main()
