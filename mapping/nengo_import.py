"""From a built Nengo model to a network: functions are decoders by then, solved by Nengo itself.

Paths from neurons to neurons become one full matrix each, ``gain * encoders @ transforms @ decoders``; a
relay that hands on decoded values would be smaller for wide ensembles, but a network, as a chip, sends
spikes alone. `Lowpass` from neurons is the target's synaptic current, and its tick of delay the one
that every projection takes; what comes from outside goes through its synapses on the host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.drive import Drive
from mapping.errors import NetworkError, UnsupportedNodeError
from mapping.linear import Sparse
from mapping.nengo_host import Columns, HostInput, NeuronTerm, Outsides, OutsideTerm, Readout
from mapping.nengo_matrix import Matrix, linear_of, product, scaled_rows, sum_of
from mapping.nengo_model import built_model, names_of, neuron_of
from mapping.nengo_neurons import NengoNeuron, filter_share, filter_time
from mapping.nengo_probes import readouts_of
from mapping.nengo_synapses import Synapses
from mapping.nengo_walk import Outside, Term, Walk
from mapping.network import Input, Network, Population, Projection

Array = NDArray[Any]

INPUT = "input"
"""The one input, whose channels carry all signals of the outside; another where it is taken."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NengoNetwork:
    """An imported model: what runs on the chip, and what the host does before and after.

    Attributes
    ----------
    network : Network
        Simulated in chip timing, its spikes are Nengo's.
    inputs : tuple of HostInput
    readouts : mapping of str to Readout
        One for each probe, by the probe's label or ``probeN``.
    populations : mapping of nengo.Ensemble to str
        What ensembles are called here.
    """

    network: Network
    inputs: tuple[HostInput, ...]
    readouts: Mapping[str, Readout]
    populations: Mapping[Any, str]
    seeds: Mapping[Any, int]

    def currents(self, n_ticks: int) -> Array:
        """Input of all channels; float64 [n_ticks, n_channels].

        Raises
        ------
        ValueError
            If a node gives values of another size, or that are not finite.
        """
        outsides = Outsides(n_ticks, self.network.dt_s, self.seeds)
        parts = [part.currents(outsides) for part in self.inputs]
        return np.hstack(parts) if parts else np.zeros((n_ticks, 0))

    def drive(self, n_ticks: int) -> Drive:
        """Input of a run from time 0, as `mapping.reference.simulate` takes it."""
        if not self.inputs:
            return Drive(n_ticks=n_ticks)
        (name,) = (part.name for part in self.network.inputs)
        return Drive(n_ticks=n_ticks, currents={name: self.currents(n_ticks)})

    def decode(self, spikes: Mapping[str, Columns], n_ticks: int) -> dict[str, Array]:
        """What every probe shows; see `mapping.nengo_host.Readout.decode`."""
        return {name: each.decode(spikes, n_ticks) for name, each in self.readouts.items()}


def import_nengo(
    model: Any,
    *,
    dt_s: float | None = None,
    approximate: bool = False,
    whole_ticks: bool = False,
) -> NengoNetwork:
    """Turn a Nengo model into a network.

    Parameters
    ----------
    model : nengo.Network, nengo.Simulator or nengo.builder.Model
        A network is built here; what is built stays as it is, random numbers included.
    dt_s : float, optional
        Length of a tick, seconds; 1 ms. What is built has its own.
    approximate : bool
        Whether synapses between neurons that no synaptic current is are replaced instead of refused:
        by a `Lowpass` of the same mean delay, and where several reach an ensemble by the slowest.
    whole_ticks : bool
        Build LIF neurons as ones that spike and rest in whole ticks, as a chip's do
        (`mapping.nengo_ticks`): decoders are solved for these, and the float simulation is of these.
        For a nengo.Network alone, since decoders of what is built are solved.

    Raises
    ------
    UnsupportedNodeError
        If anything cannot be expressed; the text lists everything.
    MissingExtraError
        If nengo is not installed.
    TypeError
        If ``model`` is none of Nengo's.
    """
    with built_model(model, dt_s, whole_ticks=whole_ticks) as (nengo, built):
        return _imported(nengo, built, approximate=approximate)


def _imported(nengo: Any, built: Any, *, approximate: bool) -> NengoNetwork:
    walk = Walk(nengo, built)
    walk.check()
    build = _Build(nengo, built, walk, approximate=approximate)
    build.everything()
    problems = [*walk.problems, *build.problems]
    if problems:
        listed = "\n  - ".join(dict.fromkeys(problems))
        raise UnsupportedNodeError(f"the Nengo model cannot become a network:\n  - {listed}")
    return build.network()


class _Build:
    """Collects populations, projections and readouts of one model."""

    def __init__(self, nengo: Any, model: Any, walk: Walk, *, approximate: bool) -> None:
        self._nengo, self._model, self._walk = nengo, model, walk
        self._dt_s = float(model.dt)
        self._names: dict[Any, str] = names_of(model.toplevel)
        taken = set(self._names.values())
        free = chain([INPUT], map("outside{}".format, count()))
        self._input = next(name for name in free if name not in taken)
        self._synapses = Synapses(nengo, self._dt_s, approximate=approximate)
        self._neurons: dict[Any, NengoNeuron] = {}
        self._populations: list[Population] = []
        self._weights: list[tuple[str, str, Matrix]] = []
        self._inputs: list[tuple[HostInput, Matrix]] = []
        self._channels = 0
        self._readouts: dict[str, Readout] = {}
        self._notes: list[str] = []
        self.problems: list[str] = []

    def everything(self) -> None:
        """Go through all ensembles, then all probes."""
        for ensemble in self._names:
            found = neuron_of(self._nengo, ensemble)
            if isinstance(found, NengoNeuron):
                self._neurons[ensemble] = found
            else:
                self.problems += found
        for ensemble in self._neurons:
            self._add(ensemble)
        if not self._names:
            self.problems.append("there is no ensemble, so there are no neurons to be mapped")
        if not self.problems and not self._walk.problems:
            self._readouts = readouts_of(
                self._nengo, self._model, self._walk, self._neuron_term, self._notes
            )
        self.problems += self._synapses.problems

    def network(self) -> NengoNetwork:
        """Put everything together."""
        inputs = (Input(name=self._input, shape=(self._channels,)),) if self._channels else ()
        read = dict.fromkeys(p for each in self._readouts.values() for p in each.populations)
        sources = {source for source, _, _ in self._weights}
        outputs = tuple(read) or tuple(p.name for p in self._populations if p.name not in sources)
        notes = [
            *self._notes, *self._synapses.notes,
            *(f"{node}: only listens, so it is left out; a probe decodes the same" for node in self._walk.unheard),
        ]  # fmt: skip
        try:
            network = Network(
                dt_s=self._dt_s,
                inputs=inputs,
                populations=tuple(self._populations),
                projections=(*self._from_outside(), *self._between()),
                outputs=outputs or tuple(p.name for p in self._populations),
                notes=tuple(dict.fromkeys(notes)),
            )
        except NetworkError as error:
            raise NetworkError(f"the Nengo model: {error}") from error
        return NengoNetwork(
            network=network,
            inputs=tuple(host for host, _ in self._inputs),
            readouts=self._readouts,
            populations={ensemble: self._names[ensemble] for ensemble in self._neurons},
            seeds=self._model.seeds,
        )

    def _add(self, ensemble: Any) -> None:
        """Add one population with all that reaches it."""
        name, neuron = self._names[ensemble], self._neurons[ensemble]
        params = self._model.params[ensemble]
        encoded = self._walk.into(ensemble)
        ways = [(params.scaled_encoders, term) for term in encoded]
        ways += [(None, term) for term in self._walk.whole_into(ensemble)]
        ways += [(params.gain, term) for term in self._walk.into(ensemble.neurons)]
        tau = self._synapses.shared(name, [t for _, t in ways if not isinstance(t.origin, Outside)])
        share = neuron.share(self._dt_s)
        signals = self._model.sig[ensemble.neurons]
        if "refractory_time" in signals and np.any(signals["refractory_time"].initial_value):
            self.problems.append(
                f"{ensemble}: begins at rest (initial refractory_time), which no chip loads; leave it 0"
            )
        try:
            self._populations.append(
                neuron.population(
                    name,
                    bias=params.bias,
                    v_start=signals["voltage"].initial_value,
                    tau_syn_s=filter_time(tau, self._dt_s),
                    dt_s=self._dt_s,
                )
            )
        except NetworkError as error:
            self.problems.append(str(error))
        gathered: dict[Any, list[Matrix]] = {}
        for encoders, term in ways:
            if isinstance(term.origin, Outside) or term.origin not in self._neurons:
                continue
            worth = self._neurons[term.origin].amplitude / self._dt_s
            factor = share * worth * filter_share(tau, self._dt_s)
            matrix = _encoded(encoders, term.matrix)
            gathered.setdefault(term.origin, []).append(
                scaled_rows(matrix, np.full(matrix.shape[0], factor))
            )
        for origin, matrices in gathered.items():
            self._weights.append((self._names[origin], name, sum_of(matrices)))
        self._add_outside(name, tau, share, ways)

    def _add_outside(
        self, name: str, tau: float, share: float, ways: Sequence[tuple[Array | None, Term]]
    ) -> None:
        """Add what the host hands over: one signal in an ensemble's dimensions, or one for each way."""
        outer = [(encoders, term) for encoders, term in ways if isinstance(term.origin, Outside)]
        encoded = [(e, term) for e, term in outer if e is not None and e.ndim == 2]
        groups: list[tuple[Matrix, list[Term]]] = []
        if encoded:
            groups.append((np.asarray(encoded[0][0]), [term for _, term in encoded]))
        for encoders, term in outer:
            if encoders is None or encoders.ndim == 1:
                own = term._replace(matrix=np.eye(term.matrix.shape[1]))
                groups.append((_encoded(encoders, term.matrix), [own]))
        for matrix, terms in groups:
            host = HostInput(
                target=name,
                first=self._channels,
                size=matrix.shape[1],
                terms=tuple(
                    OutsideTerm(origin=t.origin, matrix=t.matrix, filters=t.filters) for t in terms
                ),
                keep=1 - filter_share(tau, self._dt_s),
            )
            self._channels += host.size
            weights = scaled_rows(matrix, np.full(matrix.shape[0], share))
            self._inputs.append((host, weights))

    def _from_outside(self) -> list[Projection]:
        """Projections from the one input, each from its own channels."""
        found = []
        for host, weights in self._inputs:
            listed = _by_source(weights, host.first, self._channels)
            found.append(Projection(source=self._input, target=host.target, linear=listed))
        return found

    def _between(self) -> list[Projection]:
        return [
            Projection(source=source, target=target, linear=linear_of(matrix))
            for source, target, matrix in self._weights
        ]

    def _neuron_term(self, term: Term) -> NeuronTerm | None:
        """What a probe shows of an ensemble's neurons."""
        if term.origin not in self._neurons:
            return None
        return NeuronTerm(
            population=self._names[term.origin],
            matrix=term.matrix,
            worth=self._neurons[term.origin].amplitude / self._dt_s,
            filters=term.filters,
        )


def _encoded(encoders: Array | None, matrix: Matrix) -> Matrix:
    """Into the currents of neurons: through encoders, through gains alone, or as it is."""
    if encoders is None:
        return matrix
    return product(encoders, matrix) if encoders.ndim == 2 else scaled_rows(matrix, encoders)


def _by_source(weights: Matrix, first: int, n_channels: int) -> Sparse:
    """Weights from some channels of the input, as a list of all of them."""
    n_post, n_own = weights.shape
    linear = linear_of(weights)
    if isinstance(linear, Sparse):
        row, target, weight = linear.row, linear.target, linear.weight
    else:
        row = np.arange(n_own + 1) * n_post
        target, weight = np.tile(np.arange(n_post), n_own), np.asarray(weights).T.ravel()
    before, after = np.zeros(first, np.int64), np.full(n_channels - first - n_own, row[-1])
    return Sparse(
        row=np.concatenate([before, row, after]), target=target, weight=weight,
        pre_shape=(n_channels,), post_shape=(n_post,),
    )  # fmt: skip
