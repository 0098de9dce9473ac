"""Nengo models for tests; nengo must be there."""

import nengo
import numpy as np


def everything():
    """Each kind of neurons, connection, slice and node that is supported, in one model."""
    draw = np.random.RandomState(0)
    weights = nengo.solvers.LstsqL2(weights=True)
    with nengo.Network(seed=3) as net:
        stim = nengo.Node(lambda t: [np.sin(6 * t), np.cos(9 * t)], label="stim")
        half = nengo.Node([0.5])
        noise = nengo.Node(nengo.processes.WhiteSignal(1.0, high=5, seed=1), size_out=2)
        relay, relay2 = nengo.Node(size_in=3), nengo.Node(size_in=2)
        a = nengo.Ensemble(60, 2, label="a", radius=1.5)
        b = nengo.Ensemble(
            50, 1, neuron_type=nengo.SpikingRectifiedLinear(),
            max_rates=nengo.dists.Uniform(200, 1500),
        )  # fmt: skip
        c = nengo.Ensemble(40, 2, neuron_type=nengo.RegularSpiking(nengo.LIFRate(tau_rc=0.03)))
        d = nengo.Ensemble(
            30, 1,
            neuron_type=nengo.RegularSpiking(nengo.RectifiedLinear(amplitude=0.5), amplitude=2),
        )  # fmt: skip
        e = nengo.Ensemble(
            45, 2, neuron_type=nengo.LIF(amplitude=0.3, tau_ref=0.0025, min_voltage=-1)
        )
        nengo.Connection(stim, a, synapse=nengo.Alpha(0.01))
        nengo.Connection(half, a[1], function=lambda x: x**2, synapse=None)
        nengo.Connection(noise[1], a[0])
        nengo.Connection(a, a, synapse=0.1, transform=0.2)
        nengo.Connection(a, b, function=lambda x: x[0] * x[1], synapse=0.02)
        nengo.Connection(a[1], relay[2], synapse=0.01, function=lambda x: x**2)
        nengo.Connection(stim, relay[:2], synapse=None)
        nengo.Connection(half, relay[0], synapse=nengo.synapses.Triangle(0.03))
        nengo.Connection(relay[[2, 0]], relay2, synapse=None, transform=[[1, 2], [0, 0.3]])
        nengo.Connection(relay2, c, synapse=None)
        nengo.Connection(relay2[0], c[1], synapse=None, transform=-1)
        nengo.Connection(
            b.neurons, d.neurons, transform=draw.standard_normal((30, 50)) * 1e-3, synapse=0.005
        )
        nengo.Connection(b.neurons[:10], d, transform=np.full((1, 10), 1e-3), synapse=0.005)
        nengo.Connection(c, e, solver=weights, synapse=0.01)
        nengo.Connection(c[0], e[1], solver=weights, synapse=0.01)
        nengo.Connection(d, e[0], synapse=0.01)
        nengo.Connection(stim[0], e.neurons[3:9], transform=np.ones((6, 1)), synapse=None)
        for ensemble in (a, b, c, d, e):
            nengo.Probe(ensemble, synapse=0.01)
            nengo.Probe(ensemble.neurons)
        nengo.Probe(relay2, synapse=0.02)
        nengo.Probe(relay[1:])
        nengo.Probe(a[0], synapse=nengo.Alpha(0.01))
        nengo.Probe(stim, synapse=0.01)
        nengo.Probe(e.neurons[:4], synapse=0.01)
        nengo.Probe(c, "input")
    return net


def pictures():
    """A convolution and a sparse matrix from neurons to neurons."""
    one, none = nengo.dists.Choice([1]), nengo.dists.Choice([0])
    with nengo.Network(seed=1) as net:
        image = nengo.Node(np.random.RandomState(0).rand(128))
        first = nengo.Ensemble(
            6 * 6 * 4, 1, neuron_type=nengo.SpikingRectifiedLinear(),
            gain=nengo.dists.Choice([100]), bias=none,
        )  # fmt: skip
        second = nengo.Ensemble(3 * 3 * 5, 1, gain=nengo.dists.Choice([0.1]), bias=one)
        third = nengo.Ensemble(10, 1, gain=one, bias=none)
        nengo.Connection(
            image, first.neurons, transform=nengo.Convolution(4, (8, 8, 2)), synapse=None
        )
        nengo.Connection(
            first.neurons, second.neurons, synapse=0.005,
            transform=nengo.Convolution(5, (6, 6, 4), strides=(2, 2), padding="same"),
        )  # fmt: skip
        nengo.Connection(
            second.neurons, third.neurons, synapse=0.005,
            transform=nengo.Sparse(
                (10, 45), indices=[[i, i * 4] for i in range(10)], init=np.full(10, 0.1)
            ),
        )  # fmt: skip
        for ensemble in (first, second, third):
            nengo.Probe(ensemble.neurons)
    return net


def arrays():
    """Networks within networks, joined by chains of passthrough nodes."""
    with nengo.Network(seed=1) as net:
        stim = nengo.Node([0.3, -0.2, 0.6])
        one = nengo.networks.EnsembleArray(30, 3, label="one")
        two = nengo.networks.EnsembleArray(30, 3, label="two")
        nengo.Connection(stim, one.input)
        nengo.Connection(one.output, two.input, transform=np.roll(np.eye(3), 1, 0) * 0.8)
        one.add_output("sq", lambda x: x**2)
        nengo.Connection(one.sq[1], two.input[0])
        product = nengo.networks.Product(20, 3)
        nengo.Connection(one.output, product.input_a)
        nengo.Connection(stim, product.input_b)
        nengo.Probe(two.output, synapse=0.01)
        nengo.Probe(product.output, synapse=0.01)
    return net


def channel(function=None, n=100, **neurons):
    """A sine, an ensemble, and a function of it in a second one."""
    with nengo.Network(seed=7) as net:
        stim = nengo.Node(lambda t: np.sin(2 * np.pi * t))
        a = nengo.Ensemble(n, 1, label="a", **neurons)
        b = nengo.Ensemble(n, 1, label="b", **neurons)
        nengo.Connection(stim, a, synapse=None)
        nengo.Connection(a, b, function=function, synapse=0.02)
        nengo.Probe(b, synapse=0.02, label="out")
    return net
