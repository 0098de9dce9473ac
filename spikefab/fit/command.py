"""The command ``fit``: judge, then tell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikefab.fit.as_json import answer_json, holdings_json
from spikefab.fit.holding import holding
from spikefab.fit.tables import print_answer, print_holdings
from spikefab.fit.work import answer, chips_of
from spikefab.telling import say
from spikefab.wording import as_json


def judge_network(path: Path, names: Sequence[str], *, json: bool, **asked: Any) -> bool:
    """Tell whether a network fits chips; ``asked`` goes to `spikefab.fit.work.answer`.

    Returns
    -------
    bool
        Whether it fits any of them.
    """
    found = answer(path, names, **asked)
    if json:
        say(as_json(answer_json(found, path)))
    else:
        print_answer(found, path.name, each=bool(names))
    return found.fits


def list_holdings(names: Sequence[str], without: Sequence[str], *, json: bool) -> None:
    """Tell what chips can hold."""
    found = [holding(chip) for chip in chips_of(names, without).values()]
    if json:
        say(as_json(holdings_json(found)))
    else:
        print_holdings(found)
