"""Compare the compiled network with its SimPy form, start by start, on random systems.

    python benchmarks/fabric_equal.py [--cases N] [--seed S] [--json]

Each system is carried by the compiled form, by SimPy, and by SimPy with its events in random order
where time and priority are equal. Exit code 0 if all agree, 4 if one differs, 2 for bad input.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from random_systems import differences, random_system, shuffled_environment

from emulator.noc.queued import carry
from emulator.noc.simulated_tick import carry_simulated


def compare(seed: int, case: int) -> dict[str, Any]:
    """Carry one system in all ways and count what happened."""
    rng = np.random.default_rng([seed, case])
    system = random_system(rng)
    args: dict[str, Any] = {"bits": system.bits, "forest": system.forest, "record": True}
    queued = carry(system.noc, system.packets, **args)
    simulated = carry_simulated(system.noc, system.packets, **args)
    env = shuffled_environment(rng)
    shuffled = carry_simulated(system.noc, system.packets, **args, env=env)
    return {
        "topology": system.noc.topology,
        "packets": system.packets.n,
        "copies": system.packets.n_syn.size,
        "starts": len(queued.starts),
        "delta": int(queued.starts[:, 3].max(initial=0)),
        "forks": system.forest is not None,
        "single_slots": 1 in (system.noc.buffer, system.noc.buffer_core),
        "undelivered": int(np.count_nonzero(queued.delivered_ps < 0)),
        "differs": differences(queued, simulated),
        "differs_shuffled": differences(simulated, shuffled),
    }


def told(seed: int, case: int, found: dict[str, Any]) -> str:
    """Say in what a case differs."""
    parts = [f"case {case} of seed {seed} ({found['topology']}, {found['packets']} packets):"]
    if found["differs"]:
        parts.append(f"compiled and SimPy differ in {', '.join(found['differs'])}")
    if found["differs_shuffled"]:
        names = ", ".join(found["differs_shuffled"])
        parts.append(f"SimPy depends on the order of equal events in {names}")
    return " ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.cases < 1 or args.seed < 0:
        print("fabric_equal: --cases must be at least 1, --seed at least 0", file=sys.stderr)
        return 2
    begin = time.perf_counter()
    results = []
    for case in range(args.cases):
        found = compare(args.seed, case)
        if found["differs"] or found["differs_shuffled"]:
            print(told(args.seed, case, found), file=sys.stderr)
        results.append(found)
    total = {name: sum(r[name] for r in results) for name in ("packets", "copies", "starts")}
    summary = {
        "equal": not any(r["differs"] or r["differs_shuffled"] for r in results),
        "cases": args.cases,
        "seed": args.seed,
        **total,
        "differences": sum(bool(r["differs"]) for r in results),
        "differences_shuffled": sum(bool(r["differs_shuffled"]) for r in results),
        "cases_with_delta": sum(r["delta"] > 0 for r in results),
        "deepest_delta": max(r["delta"] for r in results),
        "cases_forking": sum(r["forks"] for r in results),
        "cases_with_single_slots": sum(r["single_slots"] for r in results),
        "undelivered": sum(r["undelivered"] for r in results),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    line = ", ".join(f"{name} {value:,}" for name, value in summary.items() if name != "equal")
    print(line, file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(summary))
    return 0 if summary["equal"] else 4


if __name__ == "__main__":
    sys.exit(main())
