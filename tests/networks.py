"""Random small networks for tests."""

import numpy as np

from mapping.linear import Convolution, Dense, Sparse
from mapping.network import Input, Network, Population, Projection


def random_network(rng, *, reset="zero", compare=">"):
    """Convolution, dense, sparse, recurrence, delays and every neuron model in a small network."""
    dt = 1e-3

    def cells(name, shape, **values):
        n = int(np.prod(shape))
        return Population(
            name=name, shape=shape, threshold=1.0 + 0.2 * rng.random(shape),
            bias=0.05 * rng.normal(size=shape), reset=reset, compare=compare,
            **{k: np.full(shape, v) if n else v for k, v in values.items()},
        )  # fmt: skip

    conv = Convolution(
        kernel=rng.normal(0.1, 0.4, (3, 2, 3, 3)), pre_shape=(2, 6, 5), stride=(1, 2),
        padding=((1, 1), (0, 1)), dilation=(1, 1),
    )  # fmt: skip
    n_conv = int(np.prod(conv.post_shape))
    lists = [np.sort(rng.choice(11, rng.integers(0, 6), replace=False)) for _ in range(n_conv)]
    sparse = Sparse(
        row=np.concatenate([[0], np.cumsum([len(x) for x in lists])]),
        target=np.concatenate(lists),
        weight=rng.normal(0.1, 0.3, sum(len(x) for x in lists)),
        pre_shape=conv.post_shape, post_shape=(11,),
    )  # fmt: skip

    def dense(n_post, n_pre, scale):
        weight = rng.normal(0.05, scale, (n_post, n_pre))
        return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))

    return Network(
        dt_s=dt,
        inputs=(Input(name="in", shape=(2, 6, 5)),),
        populations=(
            cells("conv", conv.post_shape, tau_mem_s=8e-3),
            cells("middle", (11,), tau_mem_s=20e-3, tau_syn_s=4e-3, v_leak=0.1),
            cells("out", (4,), v_reset=-0.1),
            Population(name="sum", shape=(3,), threshold=None, tau_mem_s=10e-3),
        ),
        projections=(
            Projection(source="in", target="conv", linear=conv),
            Projection(source="conv", target="middle", linear=sparse, delay_s=2e-3),
            Projection(source="middle", target="middle", linear=dense(11, 11, 0.2)),
            Projection(source="middle", target="out", linear=dense(4, 11, 0.5)),
            Projection(source="out", target="middle", linear=dense(11, 4, 0.1), delay_s=1e-3),
            Projection(source="middle", target="sum", linear=dense(3, 11, 0.5)),
            Projection(source="in", target="out", linear=dense(4, 60, 0.05)),
        ),
        outputs=("out", "sum"),
    )
