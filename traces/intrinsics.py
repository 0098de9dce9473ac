"""What kernels need and Numba does not have: reading ahead, and a gate where threads meet."""

import os
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from traces.jit import inlined, inner, kernel

_cgutils: Any = cgutils


def _intrinsic(function: Any) -> Any:
    """Give a function its code for the compiler; the function itself is for compiled kernels alone."""
    return intrinsic(function)


@_intrinsic
def _prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of one entry of a flat array."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flat = context.make_array(signature.args[0])(context, builder, args[0])
        at = builder.gep(flat.data, [args[1]])
        byte = ir.IntType(8).as_pointer()
        whole = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        fetch = _cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, near, data = (ir.Constant(whole, k) for k in (0, 3, 1))
        builder.call(fetch, [builder.bitcast(at, byte), to_read, near, data])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@inlined
def prefetch(array: Any, index: int) -> None:
    """Bring an entry of a flat array near that is read soon; for compiled kernels alone."""
    _prefetch(array, index)


@inlined
def fetch_nothing(array: Any, index: int) -> None:
    """Stand in for `prefetch` where kernels are plain Python."""


# Threads in one compiled call meet at a gate, an int64 array of one entry that counts arrivals.


@_intrinsic
def _arrive(typing: Any, gate: Any) -> Any:
    """Count one arrival."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", array.data, one, "seq_cst")

    return types.int64(gate), code


@_intrinsic
def _arrived(typing: Any, gate: Any) -> Any:
    """Read how many have arrived, and what they wrote before."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(array.data, "acquire", 8)

    return types.int64(gate), code


if hasattr(os, "sched_yield"):
    _give_way: Any = types.ExternalFunction("sched_yield", types.int32())
else:

    @inner
    def _give_way() -> int:
        return 0


SPINS = 4000
"""Looks at the gate before a thread lets others have its processor."""


@kernel
def meet(gate: Any, arrivals: int) -> None:
    """Wait until so many threads have come to the gate; for compiled kernels alone.

    No inner kernel: with no way in from Python, Numba 0.68 loses track of the external function.
    """
    _arrive(gate)
    spins = 0
    while _arrived(gate) < arrivals:
        spins += 1
        if spins > SPINS:
            _give_way()
