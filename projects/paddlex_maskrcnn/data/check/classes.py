"""What is wrong with the classes: without objects, rare, or not the same in both parts."""

from collections.abc import Sequence

from .findings import ERROR, NOTE, WARNING, Finding, Location
from .scan import Overview
from .statistics import ClassRow

_FEW = 10  # objects


def unequal_labels(parts: Sequence[Overview]) -> list[Finding]:
    """Parts whose classes differ in name or order."""
    first, findings = parts[0], []
    for other in parts[1:]:
        if other.labels == first.labels:
            continue
        only = [name for name in first.labels if name not in other.labels]
        more = [name for name in other.labels if name not in first.labels]
        locations = [Location(f"only {first.name}: {name!r}") for name in only]
        locations += [Location(f"only {other.name}: {name!r}") for name in more]
        title = f"the classes of {first.name} and {other.name} differ"
        title += "" if locations else " in their order"
        remedy = "give both the same categories in the same order: training refuses them otherwise"
        findings.append(
            Finding("unequal-labels", ERROR, title, remedy, "", locations, is_single=True)
        )
    return findings


def class_findings(parts: Sequence[Overview], table: Sequence[ClassRow]) -> list[Finding]:
    """Classes without objects anywhere, in training alone, or in evaluation alone; rare ones."""
    shared = [row for row in table if -1 not in row.objects]  # others: the classes differ
    without = [row.name for row in shared if not any(row.objects)]
    roots = [name for name in without if name in _groups(parts)]
    empty = [name for name in without if name not in roots]
    rare = [row for row in shared if 0 < row.objects[0] < _FEW]
    findings = [
        Finding(
            "root-class",
            WARNING,
            "class without objects that is only the group of the others",
            "delete this category, which exporters such as Roboflow's add: it takes an output of the "
            "network, and num_classes counts it",
            locations=[Location(f"class {name!r}") for name in roots],
            out_of=len(table),
        ),
        Finding(
            "empty-class",
            WARNING,
            "class without any object",
            "delete the category, or label some: the network gives it an output that never learns",
            locations=[Location(f"class {name!r}") for name in empty],
            out_of=len(table),
        ),
        Finding(
            "rare-class",
            NOTE,
            f"class of fewer than {_FEW} objects",
            "label more; train.repeat_threshold shows their images more often meanwhile",
            parts[0].name,
            [Location(f"class {row.name!r}: {row.objects[0]}") for row in rare],
            len(table),
        ),
    ]
    return findings + (_one_sided(parts, shared) if len(parts) == 2 else [])


def _groups(parts: Sequence[Overview]) -> set[str]:
    """What other classes name as their group, COCO's supercategory; a class may be called so itself."""
    pairs = [pair for part in parts for pair in zip(part.labels, part.groups, strict=True)]
    return {group for name, group in pairs if group != name}


def _one_sided(parts: Sequence[Overview], shared: Sequence[ClassRow]) -> list[Finding]:
    first, second = parts[0].name, parts[1].name
    counts = [(row.name, *row.objects) for row in shared]
    unlearned = [(name, later) for name, trained, later in counts if later and not trained]
    unmeasured = [(name, trained) for name, trained, later in counts if trained and not later]
    return [
        Finding(
            "unlearned-class",
            WARNING,
            f"class with objects in {second} but none in {first}",
            "split the data anew with the command split, which balances classes: it cannot be learned",
            locations=[Location(f"class {name!r}: {n} in {second}") for name, n in unlearned],
            out_of=len(shared),
        ),
        Finding(
            "unmeasured-class",
            NOTE,
            f"class with objects in {first} but none in {second}",
            "its AP stays empty: move some of its images over, or use the command split",
            locations=[Location(f"class {name!r}: {n} in {first}") for name, n in unmeasured],
            out_of=len(shared),
        ),
    ]
