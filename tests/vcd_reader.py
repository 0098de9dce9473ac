"""A reader of value change dumps, written from the standard (IEEE 1364-2005, clause 18)."""

import re
from collections import defaultdict
from fractions import Fraction

SECONDS = {"s": 1, "ms": 10**-3, "us": 10**-6, "ns": 10**-9, "ps": 10**-12}


def read_vcd(path):
    """Return {scope.name: [(time_ps, value)]}, and the last time; every line must be a rule's."""
    text = path.read_text(encoding="ascii")
    head, body = text.split("$enddefinitions $end\n")
    number, unit = re.search(r"\$timescale (1|10|100) (s|ms|us|ns|ps) \$end", head).groups()
    ps = int(Fraction(number) * Fraction(SECONDS[unit]).limit_denominator(10**12) * 10**12)
    scopes, names, codes = [], {}, set()
    for line in head.splitlines():
        parts = line.split()
        if parts[0] == "$scope":
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", parts[2])
            scopes.append(parts[2])
        elif parts[0] == "$upscope":
            scopes.pop()
        elif parts[0] == "$var":
            _, kind, _, code, name, _ = parts
            assert code not in codes
            assert all("!" <= sign <= "~" for sign in code)
            codes.add(code)
            names[code] = (".".join([*scopes, name]), kind)
    assert scopes == []
    changes, now = defaultdict(list), -1
    for line in body.splitlines():
        if line.startswith("#"):
            assert int(line[1:]) > now
            now = int(line[1:])
            continue
        value, code = line.split() if line[0] in "br" else (line[0], line[1:])
        name, kind = names[code]
        assert (kind == "real") == (value[0] == "r")
        number = float(value[1:]) if kind == "real" else int(value.lstrip("b"), 2)
        changes[name].append((now * ps, number))
    return changes, now * ps
