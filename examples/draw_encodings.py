"""Draw one handwritten digit in each input encoding, as docs/encodings.md shows it.

python examples/draw_encodings.py [FILE.png]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mapping.encodings import ENCODINGS, Encoding

DIGITS = Path(__file__).parents[1] / "spikefab" / "data" / "digits_test.npz"
TICKS = 48
OPTIONS = {"burst": "burst:spikes=5,most=8", "population": "population:neurons=4"}


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "encodings.png")
    with np.load(DIGITS) as file:
        digit = file["x"][0].astype(float)
    values = digit.ravel() / digit.max()
    figure, axes = plt.subplots(2, 5, figsize=(13, 6.4), layout="constrained")
    first, *others = axes.ravel()
    side = round(values.size**0.5)
    first.imshow(values.reshape(side, side), cmap="gray_r")
    first.set(title="the image", xticks=[], yticks=[])
    for axis, name in zip(others, ENCODINGS, strict=True):
        encoding = Encoding.parse(OPTIONS.get(name, name))
        counts = encoding.spikes(values, TICKS, seed=0)
        tick, channel = np.nonzero(counts)
        size = 3 * np.log2(1 + counts[tick, channel])
        axis.scatter(tick, channel, s=size, c="black", linewidths=0)
        axis.set_title(f"{name}: {counts.sum():,} spikes", fontsize=10)
        axis.set(
            xlim=(-1, TICKS),
            xlabel="tick",
            ylabel="channel",
            ylim=(encoding.width(values.size), -1),
        )
    figure.savefig(target, dpi=100)


if __name__ == "__main__":
    main()
