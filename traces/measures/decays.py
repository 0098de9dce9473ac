"""The distance of van Rossum: trains as sums of decaying exponentials, compared as functions."""

import math
from typing import Any

from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.pairs import Measure, instants

Array = NDArray[Any]


def van_rossum(tau_ticks: float) -> Measure:
    """Euclidean distance of two trains, each spike a jump by 1 that decays exponentially.

    The distance is a metric without unit: 1 between an empty train and a train of one spike (the
    paper's is smaller by the root of 2).

    Parameters
    ----------
    tau_ticks : float
        Time constant in ticks: ``tau_s / dt_s``. With infinity the distance is the difference of
        the numbers of spikes; as it goes to 0, the root of the number of spikes without a
        counterpart in the same tick.

    Notes
    -----
    M. C. W. van Rossum, "A novel spike distance", Neural Computation 13(4), 2001, eq. 2 and 3,
    without its factor of a half::

        D^2 = 2/tau * integral of (f_a(t) - f_b(t))^2 dt,  f(t) = sum of exp(-(t - t_i)/tau), t_i <= t

    The integral goes to infinity, so what comes after the window counts. Between two spikes the
    difference h decays, so they are ``h^2 (1 - exp(-2 gap/tau))`` apart: a sum without
    cancellation, as there is in the form of Houghton and Kreuz, "On the efficient calculation of
    van Rossum distances", Network 23(1-2), 2012.

    Raises
    ------
    ValueError
        If the time constant is not positive.
    """
    if not tau_ticks > 0:
        raise ValueError(f"a time constant in ticks must be positive, got {tau_ticks}")
    return Measure(
        name="van_rossum",
        parameters={"tau_ticks": tau_ticks},
        prepare=instants,
        kernel=distance_of_pair,
        constants=lambda trains: (1 / tau_ticks,),
    )


@inner
def distance_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array, order: Array,
) -> float:  # fmt: skip
    """Sweep over the spikes of both."""
    per_tick = constants[0]
    i, j = a_first, b_first
    difference = square = 0.0
    then = 0.0
    while i < a_last or j < b_last:
        now = a[i] if j >= b_last or (i < a_last and a[i] <= b[j]) else b[j]
        jump = 0.0
        # What both have in an instant cancels before anything is rounded.
        while i < a_last and a[i] == now:
            jump += 1.0
            i += 1
        while j < b_last and b[j] == now:
            jump -= 1.0
            j += 1
        if difference != 0.0:
            kept = math.exp((then - now) * per_tick)
            square += difference * difference * (1.0 - kept * kept)
            difference *= kept
        difference += jump
        then = now
    return math.sqrt(square + difference * difference)
