"""Where each neuron lies, what that takes of each core, and the way back."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from mapping.fixed import FixedNetwork
from mapping.packing import list_words, synapse_bits
from mapping.violations import Violation

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """Some neurons of one population on one core.

    Attributes
    ----------
    population : str
    neurons : int64 array
        Indices within the population, in the order in which they lie on the core.
    """

    population: str
    neurons: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapping:
    """A partition and its placement.

    Attributes
    ----------
    fixed : FixedNetwork
    cores : tuple of tuple of Slice
    place : tuple of int
        Core of the chip on which each of ``cores`` lies.
    """

    fixed: FixedNetwork
    cores: tuple[tuple[Slice, ...], ...]
    place: tuple[int, ...]


def cores_of(program: Program) -> tuple[tuple[Slice, ...], ...]:
    """Read back what lies on each core of a program."""
    names = [p.name for p in program.populations]
    cores = []
    for first, last in pairwise(program.core_start.tolist()):
        population, index = program.population[first:last], program.index[first:last]
        cuts = np.flatnonzero(np.diff(population)) + 1
        cores.append(
            tuple(
                Slice(population=names[population[part[0]]], neurons=index[part])
                for part in np.split(np.arange(last - first), cuts)
            )
        )
    return tuple(cores)


@dataclass(frozen=True, kw_only=True, eq=False)
class Resources:
    """What each core uses; int64 [n_cores] in the program's order."""

    neurons: Array
    compartments: Array
    in_axons: Array
    out_axons: Array
    synapse_words: Array
    settings: Array
    levels: Array

    def violations(self, program: Program, chip: Chip) -> tuple[Violation, ...]:
        """Name every broken limit with its numbers."""
        found = []
        for name, used, what, advice in (
            ("neurons_per_core", self.compartments, "compartments", "put fewer neurons on it"),
            ("in_axons_per_core", self.in_axons, "in-axons",
             "put fewer neurons on it, or prune what feeds them"),
            ("out_axons_per_core", self.out_axons, "out-axons",
             "put fewer neurons on it, or narrow what they feed"),
            ("synapse_words_per_core", self.synapse_words, "words of synapse memory",
             "put fewer neurons on it, or prune what feeds them"),
            ("neuron_profiles_per_core", self.settings, "distinct settings of decays and rest",
             "put neurons on it that share theirs"),
            ("threshold_profiles_per_core", self.levels, "distinct thresholds",
             "put neurons on it that share theirs"),
        ):  # fmt: skip
            limit = chip.limit(name)
            for core in np.flatnonzero(used > limit):
                here = np.unique(program.population[program.neuron_core == core])
                held = ", ".join(repr(program.populations[p].name) for p in here)
                where = f"core {program.core[core]} ({held})"
                text = (
                    f"{where}: {used[core]:,} {what}, but {chip.name} holds {limit:,} per core; "
                    f"{advice}"
                )
                found.append(
                    Violation(limit=name, where=where, need=int(used[core]), have=limit, text=text)
                )
        return tuple(found)


def resources(program: Program, chip: Chip) -> Resources:
    """Count what a program takes of each core, from the rows that are really loaded."""
    n = program.n_cores
    source = program.row_source
    packet = program.row_packet
    sent = packet & (source < program.n_neurons)
    return Resources(
        neurons=np.diff(program.core_start),
        compartments=np.bincount(
            program.neuron_core, weights=program.compartments, minlength=n
        ).astype(np.int64),
        in_axons=np.bincount(program.row_core[packet], minlength=n),
        out_axons=np.bincount(program.neuron_core[source[sent]], minlength=n),
        synapse_words=np.bincount(
            program.row_core, weights=_row_words(program, chip), minlength=n
        ).astype(np.int64),
        settings=_distinct(
            program, program.keep_current, program.keep_membrane, program.refractory
        ),
        levels=_distinct(program, program.threshold),
    )


def _distinct(program: Program, *columns: Array) -> Array:
    """Count the distinct rows of some columns on each core."""
    # A column that is left out stands for the same value everywhere.
    given = [np.atleast_2d(column) for column in columns if column.size]
    rows = np.unique(np.concatenate([program.neuron_core[None], *given]), axis=1)
    return np.bincount(rows[0].astype(np.int64), minlength=program.n_cores)


def _row_words(program: Program, chip: Chip) -> Array:
    """Words of each row: dense without an index, sparse with one as wide as its core asks."""
    words = np.zeros(program.row_size.size, np.int64)
    width = np.diff(program.core_start)[program.row_core]
    keys = np.stack([program.row_dense, np.where(program.row_dense, 0, width), program.row_delay])
    for dense, n_targets, delay in np.unique(keys, axis=1).T:
        rows = np.all(keys == np.array([[dense], [n_targets], [delay]]), axis=0)
        bits = synapse_bits(chip, max_delay=int(delay), n_targets=None if dense else int(n_targets))
        words[rows] = list_words(program.row_size[rows], bits, chip)
    return words
