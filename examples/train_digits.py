"""Train the demo's two spiking networks on 8x8 digits, and show where the spikes come from.

    python examples/train_digits.py --model mlp --out spikefab/data
    python examples/train_digits.py --model cnn --out spikefab/data

A spiking neuron cannot be trained by plain gradient descent, because a spike is a step. The way
round it has three stations:

1. *Rate mode.* Each integrate-and-fire neuron is replaced by the smooth curve of its firing rate
   against its input current, and the network is trained like any other. A penalty keeps the
   rates in a band where neurons neither fall silent nor saturate.
2. *Swap.* The curve is exchanged for the neuron itself. No weight changes; some accuracy is lost,
   because a short spike train says a rate only roughly.
3. *Fine-tuning.* The spiking network is trained for a few epochs. Forward, spikes are spikes;
   backward, the step is given the slope of a triangle around the threshold (a surrogate gradient).

The script needs torch (https://pytorch.org) and scikit-learn, which spikefab itself never imports.
It writes the held-out images (``digits_test.npz``) and the network (``digits_<model>.nir``).
"""

import argparse
import copy
import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import nir
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

TICKS = 32  # ticks per image: enough for rates in steps of 1/32, few enough to be cheap
DT_S = 1e-3
THRESHOLD = 1.0
LEVELS = 127  # largest magnitude of a signed 8-bit weight, symmetric about zero
SPLIT_SEED = 2024  # which images are held out must not change with the seed of the training

# In rate mode and in spiking mode, where an epoch takes many times longer: it has 32 ticks.
EPOCHS = {"mlp": (300, 100), "cnn": (100, 40)}
BATCH = 64
RATE_BAND = (0.02, 0.2)  # spikes per tick that the mean rate of a hidden neuron should keep to
BAND_WEIGHT = 20.0
SHARPNESS = 20.0  # output rates 0 and 1 stand for logits 0 and 20


class Digits(NamedTuple):
    """Images ``x`` of shape [n, 1, 8, 8] in 0..1, and classes ``y`` of shape [n]."""

    x: Tensor
    y: Tensor


# ---------------------------------------------------------------------------------------- data


def split(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[Digits, Digits]:
    """Divide images into 80 % and 20 %, with the same share of every class in both."""
    parts = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    x_big, x_small, y_big, y_small = (torch.from_numpy(part) for part in parts)
    return Digits(x_big, y_big), Digits(x_small, y_small)


def load() -> tuple[Digits, Digits]:
    """Return the training part (1,437 images) and the held-out part (360 images)."""
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)[:, np.newaxis]
    return split(x, digits.target.astype(np.int64), SPLIT_SEED)


def jitter(x: Tensor) -> Tensor:
    """Turn, scale, shear and shift each image a little, so that 1,437 images do for training."""
    n = len(x)
    turn, scale, shear = (torch.rand(3, n) * 2 - 1) * torch.tensor([[0.2], [0.12], [0.15]])
    size = 1 + scale
    rows = [
        torch.stack([size * turn.cos(), shear - size * turn.sin()], dim=1),
        torch.stack([size * turn.sin(), size * turn.cos()], dim=1),
    ]
    shift = (torch.rand(n, 2, 1) * 2 - 1) * 0.2  # in half-widths of the image: 0.8 pixels
    grid = functional.affine_grid(
        torch.cat([torch.stack(rows, dim=1), shift], dim=2), list(x.shape), align_corners=False
    )
    return functional.grid_sample(x, grid, align_corners=False)


# ------------------------------------------------------------------------------------- network


def build(model: str) -> nn.ModuleList:
    """Return the layers of weights; after each of them stands a layer of neurons."""
    if model == "mlp":
        layers: list[nn.Module] = [nn.Linear(64, 128), nn.Linear(128, 64), nn.Linear(64, 10)]
    else:
        layers = [
            nn.Conv2d(1, 12, 3, padding=1),  # 12 x 8 x 8 neurons
            nn.Conv2d(12, 24, 3, stride=2, padding=1),  # 24 x 4 x 4 neurons
            nn.Linear(384, 64),
            nn.Linear(64, 10),
        ]
    for layer in layers:
        # Rates are small, so weights must be larger than the usual ones for currents to be near 1.
        nn.init.kaiming_normal_(layer.weight)
        nn.init.constant_(layer.bias, 0.1)
    return nn.ModuleList(layers)


def drive(layer: nn.Module, signal: Tensor) -> Tensor:
    """Return the current that ``signal`` (pixels, rates or spikes) puts into a layer's neurons."""
    return layer(signal.flatten(1) if isinstance(layer, nn.Linear) else signal)


# ----------------------------------------------------------------------------------- rate mode


def rate(current: Tensor) -> Tensor:
    """Return the firing rate, in spikes per tick, for a constant current per tick.

    From zero, a current J passes the threshold 1 after floor(1/J) + 1 ticks, which is 1/J + 1/2 on
    the average: half a tick's worth of current overshoots and is lost in the reset to zero. The
    inverse J/(1 + J/2) is the smooth curve; it reaches one spike per tick, the most there is, at 2.
    The softplus rounds the corner at zero off, so that a silent neuron can still learn to fire.
    """
    positive = functional.softplus(current, beta=20)
    return (positive / (1 + positive / 2)).clamp(max=1)


def run_rates(net: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """Return the rates of each layer, [n, ...], in spikes per tick."""
    signal, rates = x, []
    for layer in net:
        signal = rate(drive(layer, signal))
        if net.training:
            # In TICKS ticks a rate is only known to within one spike; train with that noise.
            signal = signal + (torch.rand_like(signal) - 0.5) / TICKS
        rates.append(signal)
    return rates


# ------------------------------------------------------------------------------- spiking mode


class Spike(torch.autograd.Function):
    """A step at the threshold, with a triangle for its derivative."""

    @staticmethod
    def forward(ctx, v: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        """Return 1 where ``v`` is above the threshold, else 0."""
        ctx.save_for_backward(v)
        return (v > THRESHOLD).to(v.dtype)

    @staticmethod
    def backward(ctx, slope: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        """Return the gradient by ``v``: largest at the threshold, none one threshold away."""
        (v,) = ctx.saved_tensors
        return slope * (1 - (v - THRESHOLD).abs()).clamp(min=0)


def run_spikes(net: nn.ModuleList, x: Tensor, ticks: int = TICKS, delay: int = 0) -> list[Tensor]:
    """Run integrate-and-fire neurons and return the rates of each layer, in spikes per tick.

    Each tick: ``v += W s + b``; a neuron with ``v > 1`` spikes and starts again from ``v = 0``.
    The first layer receives the image itself, as a constant current.

    Parameters
    ----------
    net
        Layers of weights.
    x
        Images, [n, 1, 8, 8].
    ticks
        Length of the run; with ``delay``, one tick for each layer is added.
    delay
        0: a spike acts on the next layer within its own tick. 1: one tick later, as on a chip.
    """
    current = drive(net[0], x)  # constant, so the first layer's weights are applied only once
    voltages = [torch.zeros(1)] * len(net)
    counts = [torch.zeros(1)] * len(net)
    spikes = silence(net, x)
    for _ in range(ticks + delay * len(net)):
        earlier = list(spikes)
        for i, layer in enumerate(net):
            heard = earlier if delay else spikes
            v = voltages[i] + (drive(layer, heard[i - 1]) if i > 0 else current)
            spikes[i] = Spike.apply(v)
            # No gradient through the reset: its slope would punish a spike for the pause after it.
            voltages[i] = v * (1 - spikes[i].detach())
            counts[i] = counts[i] + spikes[i]
    return [count / ticks for count in counts]


def silence(net: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """Return layers of no spikes at all, in the shapes that the layers have."""
    layers, signal = [], x
    with torch.no_grad():
        for layer in net:
            signal = torch.zeros_like(drive(layer, signal))
            layers.append(signal)
    return layers


# ------------------------------------------------------------------------------------ training


def band_penalty(rates: list[Tensor]) -> Tensor:
    """Return how far mean rates of hidden neurons leave RATE_BAND, squared.

    The mean is over the batch, and over a channel's positions too: a neuron that looks at an
    always-empty corner of the image rightly says nothing.
    """
    low, high = RATE_BAND
    penalty = torch.zeros(())
    for layer in rates[:-1]:
        mean = layer.flatten(2).mean(dim=(0, 2)) if layer.ndim > 2 else layer.mean(dim=0)
        outside = functional.relu(low - mean) + functional.relu(mean - high)
        penalty = penalty + outside.square().mean()
    return penalty


def train(
    net: nn.ModuleList,
    part: Digits,
    run: Callable[[nn.ModuleList, Tensor, int], list[Tensor]],
    epochs: int,
    step: float,
) -> None:
    """Train in place; ``run(net, x, batch_number)`` gives the rates of each layer."""
    optimizer = torch.optim.Adam(net.parameters(), lr=step)
    n_batches = -(-len(part.x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * n_batches)
    net.train()
    for _ in range(epochs):
        for number, chosen in enumerate(torch.randperm(len(part.x)).split(BATCH)):
            rates = run(net, jitter(part.x[chosen]), number)
            loss = functional.cross_entropy(SHARPNESS * rates[-1], part.y[chosen])
            loss = loss + BAND_WEIGHT * band_penalty(rates)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def rounded(net: nn.ModuleList, levels: int = LEVELS) -> nn.ModuleList:
    """Return a copy with each layer's weights and biases on a grid of ``levels`` steps each way."""
    copied = copy.deepcopy(net)
    with torch.no_grad():
        for layer in copied:
            step = layer.weight.abs().max() / levels
            layer.weight.copy_((layer.weight / step).round() * step)
            # Biases add to the same integer membrane, so they live on the same grid.
            layer.bias.copy_((layer.bias / step).round() * step)
    return copied


# ------------------------------------------------------------------------------------- reports


def accuracy(output: Tensor, y: Tensor) -> float:
    """Return the share of images, in per cent, whose class fires most (ties: the lowest)."""
    return 100 * float((output.argmax(dim=1) == y).double().mean())


@torch.no_grad()
def report(net: nn.ModuleList, part: Digits) -> None:
    """Print accuracies and mean rates on one part of the data."""
    print(f"  rate mode            {accuracy(run_rates(net, part.x)[-1], part.y):6.2f} %")
    for name, layers in (("float", net), ("8 bits", rounded(net))):
        for delay in (0, 1):
            found = ", ".join(
                f"{accuracy(run_spikes(layers, part.x, ticks, delay)[-1], part.y):.2f} % ({ticks})"
                for ticks in (TICKS // 4, TICKS // 2, TICKS, 2 * TICKS)
            )
            print(f"  {name:6} delay {delay}:  {found}")
    rates = run_spikes(net, part.x)
    top = rates[-1].topk(2).values
    print(f"  ties for the most spikes: {int((top[:, 0] == top[:, 1]).sum())} images")
    print("  spikes per tick:", ", ".join(f"{float(layer.mean()):.3f}" for layer in rates))


# --------------------------------------------------------------------------------------- files


def as_nir(net: nn.ModuleList, trained_on: str) -> nir.NIRGraph:
    """Return the network as a NIR graph: Input, (weights, IF) per layer, Output."""
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([1, 8, 8]))}
    shapes = [tuple(layer.shape[1:]) for layer in silence(net, torch.zeros(1, 1, 8, 8))]
    before: tuple[int, ...] = (1, 8, 8)
    for number, (layer, shape) in enumerate(zip(net, shapes, strict=True), start=1):
        weight = layer.weight.detach().numpy()
        bias = layer.bias.detach().numpy()
        if isinstance(layer, nn.Conv2d):
            nodes[f"conv{number}"] = nir.Conv2d(
                before[1:], weight, layer.stride, layer.padding, layer.dilation, 1, bias
            )
        else:
            if len(before) > 1:
                nodes["flatten"] = nir.Flatten({"input": np.array(before)}, start_dim=0)
            nodes[f"dense{number}"] = nir.Affine(weight, bias)
        one = np.ones(shape, dtype=np.float32)
        nodes[f"spikes{number}"] = nir.IF(r=one, v_threshold=THRESHOLD * one, v_reset=0 * one)
        before = shape
    nodes["output"] = nir.Output(np.array(before))
    names = list(nodes)
    metadata = {
        "dt": DT_S,
        "ticks": TICKS,
        # NIR has no field for these two, and an importer needs both to run the same dynamics.
        "reset": "zero",
        "spike": "dirac",
        "source": "spikefab examples/train_digits.py",
        "trained_on": trained_on,
    }
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata=metadata)


def write(net: nn.ModuleList, held_out: Digits, model: str, out: Path, trained_on: str) -> None:
    """Write the held-out images and the network, and print the hash of each file."""
    out.mkdir(parents=True, exist_ok=True)
    data, network = out / "digits_test.npz", out / f"digits_{model}.nir"
    np.savez_compressed(data, x=held_out.x.numpy(), y=held_out.y.numpy())
    nir.write(network, as_nir(net, trained_on))
    for path in (data, network):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"  {path.name}: {path.stat().st_size:,} bytes, sha256 {digest}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a spiking network on 8x8 digits.")
    parser.add_argument("--model", choices=["mlp", "cnn"], default="mlp")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and jitter")
    parser.add_argument(
        "--epochs",
        type=int,
        nargs=2,
        metavar=("RATE", "SPIKING"),
        help="in rate mode and in spiking mode; "
        + ", ".join(f"{model}: {rate} {spiking}" for model, (rate, spiking) in EPOCHS.items()),
    )
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the files")
    parser.add_argument(
        "--validate",
        type=int,
        metavar="SEED",
        help="hold out a fifth of the training part instead, write nothing: for choosing settings",
    )
    options = parser.parse_args()
    rate_epochs, spiking_epochs = options.epochs or EPOCHS[options.model]

    torch.set_num_threads(1)  # sums in one order: the same seed gives the same weights
    torch.manual_seed(options.seed)
    training, held_out = load()
    if options.validate is not None:
        training, held_out = split(training.x.numpy(), training.y.numpy(), options.validate)

    net = build(options.model)
    train(net, training, lambda net, x, _: run_rates(net, x), rate_epochs, 4e-3)
    print(f"{options.model} after {rate_epochs} epochs in rate mode, then swapped to spiking")
    report(net, held_out)

    # Every other batch runs with the delay of a chip, so that the network learns to bear both.
    train(
        net,
        training,
        lambda net, x, number: run_spikes(net, x, delay=number % 2),
        spiking_epochs,
        1e-3,
    )
    print(f"{options.model} after {spiking_epochs} more epochs in spiking mode")
    report(net, held_out)
    if options.validate is None:
        write(net, held_out, options.model, options.out, f"{len(training.x)} images of 8x8 digits")


if __name__ == "__main__":
    main()
