"""What is in a data set, in one paragraph."""

from collections import Counter
from collections.abc import Sequence

from .records import PackedRecords

_LISTED = 20


def describe(name: str, records: PackedRecords, labels: Sequence[str]) -> str:
    """How many images, objects of each class, crowd regions and empty images."""
    counts = Counter(records.classes[~records.is_crowd].tolist())
    crowd = int(records.is_crowd.sum())
    return (
        f"{name}: {len(records)} images, {len(records.classes) - crowd} objects, "
        f"{len(labels)} classes, {crowd} crowd regions, "
        f"{int((records.num_objects == 0).sum())} images without objects. "
        f"Objects of each class: {_class_table(counts, labels)}."
    )


def _class_table(counts: Counter[int], labels: Sequence[str]) -> str:
    present = [f"{labels[k]} {n}" for k, n in counts.most_common(_LISTED)]
    rest = len(counts) - len(present)
    absent = [name for k, name in enumerate(labels) if not counts[k]]
    parts = [", ".join(present) or "none"]
    if rest:
        parts.append(f"and {rest} classes with fewer")
    if absent:
        more = f" and {len(absent) - _LISTED} more" if len(absent) > _LISTED else ""
        parts.append(f"without objects: {', '.join(absent[:_LISTED])}{more}")
    return "; ".join(parts)
