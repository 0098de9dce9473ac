"""The table of quantisers: each rule by itself is tested elsewhere (vectors, test_quantise)."""

import numpy as np
import pytest

from emulator.chip_file import load_chip
from mapping.errors import UnsupportedNodeError
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from mapping.quantisers import QUANTISERS
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.run import run_network

pytestmark = [pytest.mark.plain_python, pytest.mark.slow_uncompiled]
LOIHI = load_chip("loihi")


def network(rng, **values):
    def dense(n_post, n_pre, mean):
        weight = rng.normal(mean, 0.3, (n_post, n_pre))
        return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))

    usual = {"threshold": 1.0, "tau_mem_s": 20e-3, "tau_syn_s": 5e-3} | values
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(8,)),),
        populations=(
            Population(name="a", shape=(10,), bias=0.01 * rng.normal(size=10), **usual),
            Population(name="b", shape=(6,), refractory_s=2e-3, **usual | {"tau_mem_s": 20e-3}),
            Population(name="sum", shape=(3,), threshold=None, tau_mem_s=20e-3),
        ),
        projections=(
            Projection(source="in", target="a", linear=dense(10, 8, 0.1)),
            Projection(source="a", target="b", linear=dense(6, 10, 0.1)),
            Projection(source="b", target="sum", linear=dense(3, 6, 0.0)),
        ),
        outputs=("b", "sum"),
    )


@pytest.mark.parametrize("name", QUANTISERS)
@pytest.mark.parametrize("spiking", [True, False])
def test_every_quantiser_keeps_the_rates(rng, name, spiking):
    net = network(rng)
    x = (rng.random((2, 300, 8)) < 0.2).astype(int) if spiking else 0.05 * rng.random((2, 300, 8))
    samples = Samples(x=x, y=None, n_ticks=300, spiking=spiking)
    deployment = deploy(net, LOIHI, direct=not spiking, samples=samples, quantiser=name)
    result = run_network(deployment, samples)
    for part in ("a", "b"):
        in_float, on_chip = result.counts_float[part].sum(), result.counts_chip[part].sum()
        assert in_float > 50
        assert on_chip == pytest.approx(in_float, rel=0.05)


def test_nengos_rule_refuses_what_it_is_not_made_for(rng):
    rule = QUANTISERS["nengo-loihi"]
    with pytest.raises(
        UnsupportedNodeError, match=r"but of generic .*numbers.input_shift is 0, not 6"
    ):
        rule(network(rng), load_chip("generic"))
    mixed = network(rng, tau_mem_s=np.linspace(10e-3, 20e-3, 10))
    with pytest.raises(UnsupportedNodeError, match=r"'a': its neurons have different membrane"):
        rule(mixed, LOIHI)
    large = network(rng, threshold=1e6)
    with pytest.raises(UnsupportedNodeError, match=r"'a': thresholds up to 1e\+06 .* do not fit"):
        rule(large, LOIHI)
