"""How good and how fast mapping is, on fixed networks: `python benchmarks/mapping.py CASE --json`.

Exit code 0 if what is found keeps the bars of its case, 4 if not, 2 for bad input. Without CASE all
cases run, each in a process of its own, so that its memory is its own.
"""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def give_way() -> None:
    """Let ``mapping`` be the package, not this file, for this program and those beside it."""
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]
    sys.path.insert(0, str(HERE.parent))
    sys.path.append(str(HERE))


if __name__ == "__main__":
    give_way()
    from mapping_cases import main

    sys.exit(main(sys.argv[1:], Path(__file__)))
elif __name__ == "mapping":
    give_way()
    del sys.modules["mapping"]
    importlib.import_module("mapping")
