"""Images a CPU-second that the published image mechanisms are trained on: forward and backward, one thread.

    python benchmarks/training.py                  # rates, in turns with the ordinary way
    python benchmarks/training.py --curve 3200     # loss for each image, side by side

*plain* is the same network from the same weights, written the ordinary way: (B, C, H, W) memory, inputs concatenated
before each convolution, parents as maps of constants, PyTorch's operations in float32, batches of 32. *ours* is
what training uses. Rates are per second of CPU time of this process, and both take turns in one process, because
other work on the machine disturbs single figures (it shares caches and memory); the ratio of neighbours is what
counts. Noise is drawn in the time that is measured; the optimiser's step is not part of it.
"""

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

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

PARENTS, SHAPE = 12, (1, 32, 32)
PUBLISHED = {"hvae": 74.0, "vae": 1100.0}
Bound = Callable[[nn.Module, Tensor, Tensor, list[Tensor]], tuple[Tensor, Tensor]]


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
    """Returns the next main and prior states and the divergence of one stochastic layer."""
    width = h.shape[1]
    p = plain_block(block.prior, torch.cat([state, maps], dim=1) if block.conditional else state)
    p_loc, p_log, features = p.split([block.latent, block.latent, width], dim=1)
    q_loc, q_log = plain_block(block.posterior, torch.cat([h, maps, activation], dim=1)).chunk(2, dim=1)
    z = q_loc + q_log.exp() * eps
    kl = p_log - q_log - 0.5 + 0.5 * (q_log.exp() ** 2 + (q_loc - p_loc) ** 2) / p_log.exp() ** 2
    h = plain_block(block.body, h + features + block.from_latent(torch.cat([z, maps], dim=1)))
    return h, block.to_prior(torch.cat([z, features], dim=1)), kl


def plain_hvae(model: Hvae, x: Tensor, parents: Tensor, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns the bound of the hierarchical VAE, the ordinary way."""
    h, activations = model.encoder.stem(x), {}
    for stage in model.encoder.stages:
        for block in stage:
            if block.down > 1:
                activations[h.shape[-1]] = h
            h = plain_block(block, h)
    activations[h.shape[-1]] = h
    everywhere = parents[:, :, None, None].repeat(1, 1, *x.shape[2:])
    h = state = model.starts["1"].repeat(len(x), 1, 1, 1)
    divergences = []
    for block, eps in zip(model.decoder, noise, strict=True):
        r = block.resolution
        if h.shape[-1] < r:
            h = F.interpolate(h, scale_factor=r // h.shape[-1]) + model.starts[str(r)]
            state = F.interpolate(state, scale_factor=r // state.shape[-1]) + model.starts[str(r)]
        h, state, kl = plain_layer(block, h, state, activations[r], everywhere[:, :, :r, :r], eps)
        divergences.append(kl)
    nll = discretised_gaussian_nll(x, *model.head(h, parents)).mean()
    kl = sum(divergence.sum((1, 2, 3)).mean() for divergence in divergences)
    return nll, kl / x[0].numel()


def reorder(posterior: nn.Conv2d, width: int) -> None:
    """Puts the posterior's inputs in the plain order (h, parents, activation)."""
    own, seen, parents = posterior.weight.data.split([width, width, PARENTS], dim=1)
    posterior.weight.data = torch.cat([own, parents, seen], dim=1)


def plain_of(model: nn.Module) -> nn.Module:
    """Returns a copy in (B, C, H, W) memory, for the plain way."""
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    if isinstance(model, Hvae):
        for block in model.decoder:
            reorder(block.posterior.layers[0], block.body.layers[0].in_channels)
    return model


def ours(model: nn.Module, x: Tensor, parents: Tensor, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns both terms of the ELBO as training computes them: by the kernels, if they support the network."""
    if isinstance(model, Hvae) and native.suits(model, x) and native.available():
        return native.elbo(model, x, parents, noise)[:2]
    return model.elbo(x, parents, noise)[:2]


def torch_only(model: nn.Module, x: Tensor, parents: Tensor, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns both terms of the ELBO by PyTorch's operations, as training computes them without the kernels."""
    return model.elbo(x, parents, noise)[:2]


def draw(model: nn.Module, count: int, generator: torch.Generator) -> list[Tensor]:
    """Returns standard normal noise of `count` images, as (B, Z, H, W)."""
    return [torch.randn(count, *shape, generator=generator) for shape in model.noise_shapes]


class Contender:
    """One way to compute a network's bound and its gradient, at one batch size."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        bound: Bound,
        batch: int,
        bfloat16: bool = False,
    ) -> None:
        self.name, self.model, self.bound, self.batch = name, model, bound, batch
        self.bfloat16 = bfloat16
        self.generator = torch.Generator().manual_seed(0)
        self.rates: list[float] = []

    def step(self, x: Tensor, parents: Tensor, noise: list[Tensor] | None = None) -> float:
        """Leaves the gradient of the loss in the model; returns the loss."""
        noise = noise or draw(self.model, len(x), self.generator)
        self.model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            nll, kl = self.bound(self.model, x, parents, noise)
        (nll + kl).backward()
        return float((nll + kl).detach())

    def measure(self, x: Tensor, parents: Tensor, images: int) -> None:
        """Notes the images a CPU-second over `images` images."""
        began = time.process_time()
        for start in range(0, images, self.batch):
            at = start % (len(x) - self.batch + 1)
            self.step(x[at : at + self.batch], parents[at : at + self.batch])
        self.rates.append(images / (time.process_time() - began))


def compare(
    contenders: list[Contender], published: float, data: tuple[Tensor, Tensor], args: argparse.Namespace
) -> None:
    """Prints the rates of contenders that take turns; the first is the reference."""
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
    """Prints how far both ways are from the plain way in float64, on the same noise."""
    noise = draw(model, len(x), torch.Generator().manual_seed(1))
    gradients = []
    exact = copy.deepcopy(plain).double()
    # The head computes in float32 whatever it is given; not so here.
    exact.head.forward = lambda h, parents: (exact.head.location(h), exact.head.log_scale(h).clamp(min=-9.0))
    for network, bound in ((exact, plain_hvae), (plain, plain_hvae), (model, ours)):
        dtype = next(network.parameters()).dtype
        network.zero_grad(set_to_none=True)
        nll, kl = bound(network, x.to(dtype), parents.to(dtype), [eps.to(dtype) for eps in noise])
        (nll + kl).backward()
        named = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        if network is model:
            for number, block in enumerate(model.decoder):
                name = f"decoder.{number}.posterior.layers.0.weight"
                h, seen, tail = named[name].split([block.body.layers[0].in_channels] * 2 + [PARENTS], dim=1)
                named[name] = torch.cat([h, tail, seen], dim=1)
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
    """Yields random batches; the same ones every time."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(images // size):
        rows = torch.randint(0, len(x), (size,), generator=generator)
        yield x[rows], parents[rows]


def curve(contenders: list[Contender], data: tuple[Tensor, Tensor], images: int) -> None:
    """Trains all contenders on the same images and noise, with the published optimiser, and prints their losses."""
    optimizers = [
        torch.optim.AdamW(c.model.parameters(), lr=1e-3, betas=(0.9, 0.9), weight_decay=0.01)
        for c in contenders
    ]
    generator = torch.Generator().manual_seed(3)
    sums, count, every = [0.0] * len(contenders), 0, max(1, images // contenders[0].batch // 20)
    print(
        f"images  {'  '.join(f'{c.name:>12}' for c in contenders)}   nats per pixel, mean since the line above"
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
    """Returns images in [-1, 1] and encoded parents: a split's, or blurred strokes with random parents."""
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
    """Prints the rates, or the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a data set's folder (default: synthetic images)")
    parser.add_argument("--batch", type=int, default=32, help="our batch size (default: 32)")
    parser.add_argument("--images", type=int, default=128, help="images a turn (default: 128)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default: 9)")
    parser.add_argument("--curve", type=int, metavar="IMAGES", help="train both on so many images instead")
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
    plain = Contender("hvae plain", plain_of(hvae), plain_hvae, 32)
    if args.curve:
        mine = Contender("hvae ours", hvae, ours, 32)
        curve([plain, mine], data, args.curve)
        return
    agreement(hvae, plain.model, data[0][:16], data[1][:16])
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
