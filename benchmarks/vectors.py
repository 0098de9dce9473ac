"""Run vectors of published models and compare every value.

Integers go through the engine and are compared bit by bit; what Nengo and Lava recorded in float goes
through the float reference, Nengo's to the tolerance that the file states.

    python benchmarks/vectors.py FILE [FILE ...] [--json]

One line a file: ``NAME: equal`` or the first differing step, neuron and variable. Exit code 0 if all
are equal, 4 if one differs, 2 for bad input.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mapping.vector_file import Mismatch, first_mismatch


def told(found: Mismatch) -> str:
    """Say where a vector differs."""
    if found.neuron is None:
        return f"step {found.step}, {found.variable}: expected {found.expected}, got {found.got}"
    return (
        f"step {found.step}, population {found.population}, neuron {found.neuron}, variable "
        f"{found.variable}: expected {found.expected}, got {found.got}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    for path in args.files:
        result: dict[str, Any] = {"name": path.stem, "equal": False, "first": None, "error": None}
        try:
            found = first_mismatch(path)
            result["equal"] = found is None
            result["first"] = found._asdict() if found else None
            line = f"{path.stem}: {'equal' if found is None else told(found)}"
        except (ValueError, OSError) as error:
            result["error"] = str(error)
            line = f"vectors: {error}"
        results.append(result)
        print(line, file=sys.stderr if args.json or result["error"] else sys.stdout)
    holds = all(result["equal"] for result in results)
    if args.json:
        print(json.dumps({"holds": holds, "vectors": results}))
    if any(result["error"] for result in results):
        return 2
    return 0 if holds else 4


if __name__ == "__main__":
    sys.exit(main())
