"""Findings about classes: which have nothing to learn from, or nothing to be measured on."""

from collections.abc import Sequence

from .findings import NOTE, WARNING, Finding, Place
from .scan import Scan
from .statistics import ClassRow

FEW = 10  # objects


def class_findings(scans: Sequence[Scan], table: Sequence[ClassRow]) -> list[Finding]:
    """Classes without objects anywhere, in training alone, or in evaluation alone; rare ones."""
    known = [row for row in table if -1 not in row.objects]  # others: the classes differ
    empty = [row.name for row in known if not any(row.objects)]
    found = [
        Finding(
            "empty-class",
            WARNING,
            "class without any object",
            "delete the category, or label some: the network gives it an output that never learns",
            places=[Place(f"class {name!r}") for name in empty],
            out_of=len(table),
        ),
        Finding(
            "rare-class",
            NOTE,
            f"class of fewer than {FEW} objects",
            "label more; train.repeat_threshold shows their images more often meanwhile",
            scans[0].name,
            [Place(f"class {r.name!r}: {r.objects[0]}") for r in known if 0 < r.objects[0] < FEW],
            len(table),
        ),
    ]
    return found + (_one_sided(scans, known) if len(scans) == 2 else [])


def _one_sided(scans: Sequence[Scan], known: Sequence[ClassRow]) -> list[Finding]:
    first, second = scans[0].name, scans[1].name
    unlearned = [r for r in known if not r.objects[0] and r.objects[1]]
    unmeasured = [r for r in known if r.objects[0] and not r.objects[1]]
    return [
        Finding(
            "unlearned-class",
            WARNING,
            f"class with objects in {second} but none in {first}",
            "split the data anew with the command split, which balances classes: it cannot be learned",
            places=[Place(f"class {r.name!r}: {r.objects[1]} in {second}") for r in unlearned],
            out_of=len(known),
        ),
        Finding(
            "unmeasured-class",
            NOTE,
            f"class with objects in {first} but none in {second}",
            "its AP stays empty: move some of its images over, or use the command split",
            places=[Place(f"class {r.name!r}: {r.objects[0]} in {first}") for r in unmeasured],
            out_of=len(known),
        ),
    ]
