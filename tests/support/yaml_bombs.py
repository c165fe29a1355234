"""A few lines of YAML that stand for gigabytes, or that take their reader for ever."""

import resource
import time
from contextlib import contextmanager
from itertools import pairwise

_NAMES = "abcdefghi"


def _doubled(line):
    """Nine levels, each nine times the one before."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in pairwise(_NAMES):
        lines.append(line.format(name=name, before=before, nine=", ".join([f"*{before}"] * 9)))
    return "\n".join(lines)


BOMBS = {
    "references": _doubled("{name}: &{name} [{nine}]"),
    "merges": _doubled("{name}: &{name} {{<<: [{nine}], k{name}: 1}}").replace(
        "[x, x, x, x, x, x, x, x, x]", "{x: 1}"
    ),
    "keys": _doubled("{name}: &{name} {{1: *{before}, 2: *{before}, 3: *{before}, 4: [{nine}]}}"),
    "long text": "a: &a " + "x" * 300_000 + "\nb: [" + ", ".join(["*a"] * 500) + "]",
    "depth in brackets": "a: " + "[" * 5_000 + "]" * 5_000,
    "depth in lines": "\n".join(" " * k + "a:" for k in range(1_500)),
    "itself": "a: &a [*a, *a]",
    "itself in a merge": "a: &a {<<: *a, b: 1}",
    "long key": "? " + "k" * 200_000 + "\n: 1",
    "long number": "a: " + "9" * 20_000,
    "number in base 60": "a: 1" + ":59" * 50_000,
    "file too long": "a: '" + "x" * (5 * 2**20) + "'",
    "wrong types": "a: !!int x",
    "no such day": "a: 2001-13-45",
    "no such class": "a: !!python/object/apply:os.system [ls]",
}  # fmt: skip


@contextmanager
def bounded(seconds=10.0, megabytes=200):
    """Fails when the block takes more time, or adds more to the most memory that the process ever had."""
    before, start = _most_memory(), time.monotonic()
    yield
    spent, taken = time.monotonic() - start, (_most_memory() - before) / 1024
    assert spent < seconds, f"{spent:.1f} s"
    assert taken < megabytes, f"{taken:.0f} MiB"


def _most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
