"""Tables and distributions of a part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .plan import Plan, resized_boxes
from .scan import Overview, Scan

SIZE_NAMES = ("small", "medium", "large")  # COCO's
SIZE_BOUNDS = (32**2, 96**2)  # square pixels, between them
_BARS = 24


@dataclass(frozen=True)
class Summary:
    """One part in numbers.

    Attributes:
        part: its name.
        source: the data set as messages name it.
        images: number of images.
        objects: number of objects, crowd regions left out.
        crowd: number of crowd regions.
        empty: number of images without objects.
        sizes: share of small, medium and large objects, in the file and as the network sees them.
        at_border: share of objects that touch the border of their image.
        several_parts: share of objects drawn in more than one part.
        with_holes: share of objects with holes.
        kinds: how images are stored -> number of images.
    """

    part: str
    source: str
    images: int
    objects: int
    crowd: int
    empty: int
    sizes: tuple[tuple[float, ...], tuple[float, ...]]
    at_border: float
    several_parts: float
    with_holes: float
    kinds: dict[str, int]


@dataclass(frozen=True)
class ClassRow:
    """One class.

    Attributes:
        name: of the class.
        objects: of each part; -1 where the part does not know the class.
        images: with such an object, of each part.
        share: of the objects of each part.
    """

    name: str
    objects: tuple[int, ...]
    images: tuple[int, ...]
    share: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """A distribution, the parts beside each other.

    Attributes:
        title: what is counted.
        unit: of the edges.
        edges: (B + 1,) bounds of the bars; the last bar includes its upper one.
        parts: name of a part -> (B,) share of its values in each bar.
        is_log: whether the edges grow by a factor.
        marks: values worth a line, with their names.
    """

    title: str
    unit: str
    edges: np.ndarray
    parts: dict[str, np.ndarray]
    is_log: bool = False
    marks: tuple[tuple[float, str], ...] = ()


def summary(scan: Scan, plan: Plan) -> Summary:
    """One part in numbers."""
    objects = scan.objects
    counted = ~objects.is_crowd
    kinds: dict[str, int] = {}
    for taken in scan.fingerprints:
        kind = taken.kind or "unreadable"
        kinds[kind] = kinds.get(kind, 0) + 1
    areas = objects.area[counted]
    return Summary(
        part=scan.name,
        source=scan.source,
        images=len(scan.files),
        objects=int(counted.sum()),
        crowd=int(objects.is_crowd.sum()),
        empty=int((scan.per_image == 0).sum()),
        sizes=(_size_shares(areas), _size_shares(resized_areas(scan, plan))),
        at_border=_share(objects.at_border[counted]),
        several_parts=_share(objects.outlines[counted] > 1),
        with_holes=_share(objects.holes[counted] > 0),
        kinds=dict(sorted(kinds.items(), key=lambda pair: -pair[1])),
    )


def resized_areas(scan: Scan, plan: Plan) -> np.ndarray:
    """Area of each object's mask as the network sees it, pixels; no crowd regions."""
    resized, rows = resized_boxes(scan, plan)
    zoom = resized.boxes[:, 2:].prod(axis=1) / np.maximum(
        scan.objects.box[rows, 2:].prod(axis=1), 1
    )
    return scan.objects.area[rows] * zoom


def class_table(parts: Sequence[Overview]) -> list[ClassRow]:
    """One row a class, in the order of the first part, then those that only others have."""
    names = list(dict.fromkeys(name for part in parts for name in part.labels))
    columns = [_class_counts(part) for part in parts]
    rows = []
    for name in names:
        counts = [column.get(name, (-1, 0, 0.0)) for column in columns]
        objects, images, share = zip(*counts, strict=True)
        rows.append(ClassRow(name, objects, images, share))
    return rows


def _class_counts(part: Overview) -> dict[str, tuple[int, int, float]]:
    objects = part.objects
    counted = ~objects.is_crowd
    category, image = objects.category[counted], objects.image[counted]
    per_class = np.bincount(category, minlength=len(part.labels))
    # a pair as one number, and sorted: np.unique takes ten times as long, of which training has no time
    pairs = np.sort(image * len(part.labels) + category)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    in_images = np.bincount(pairs % len(part.labels), minlength=len(part.labels))
    total = max(1, len(category))
    return {
        name: (int(per_class[k]), int(in_images[k]), float(per_class[k] / total))
        for k, name in enumerate(part.labels)
    }


def histograms(scans: list[Scan], plan: Plan) -> list[Histogram]:
    """The distributions that the page shows."""
    sides = [resized_boxes(scan, plan)[0].boxes[:, 2:] for scan in scans]
    anchors = tuple((size, f"{size:g}") for size in plan.anchors.sizes)
    drawn = [
        _log("Side of objects as the network sees them", "pixels, sqrt of width x height",
             scans, [np.sqrt(side.prod(axis=1)) for side in sides], anchors),
        _log("Shape of objects", "height / width", scans, [side[:, 1] / np.maximum(side[:, 0], 1e-6)
             for side in sides], tuple((r, f"{r:g}") for r in plan.anchors.ratios)),
        _counts("Objects per image", scans, [scan.per_image for scan in scans]),
        _log("Side of images", "pixels, sqrt of width x height", scans,
             [np.sqrt(scan.sizes.astype(float).prod(axis=1)) for scan in scans]),
        _log("Shape of images", "height / width", scans,
             [scan.sizes[:, 0] / scan.sizes[:, 1] for scan in scans]),
    ]  # fmt: skip
    return [histogram for histogram in drawn if histogram is not None]


def _log(
    title: str,
    unit: str,
    scans: list[Scan],
    values: list[np.ndarray],
    marks: tuple[tuple[float, str], ...] = (),
) -> Histogram | None:
    everything = np.concatenate(values) if values else np.empty(0)
    everything = everything[everything > 0]
    if not len(everything):
        return None
    low, high = np.log(everything.min()), np.log(everything.max())
    if high - low < 0.2:  # all about the same: bars as narrow as a hair otherwise
        low, high = low - 0.4, high + 0.4
    edges = np.exp(np.linspace(low - 1e-9, high + 1e-9, _BARS + 1))
    return Histogram(title, unit, edges, _shares(scans, values, edges), True, marks)


def _counts(title: str, scans: list[Scan], values: list[np.ndarray]) -> Histogram | None:
    most = max((int(counts.max(initial=0)) for counts in values), default=0)
    step = max(1, -(-(most + 1) // _BARS))
    edges = np.arange(0, most + step + 1, step, dtype=float)
    return Histogram(title, "objects", edges, _shares(scans, values, edges))


def _shares(
    scans: list[Scan], values: list[np.ndarray], edges: np.ndarray
) -> dict[str, np.ndarray]:
    return {
        scan.name: np.histogram(measured, edges)[0] / max(1, len(measured))
        for scan, measured in zip(scans, values, strict=True)
    }


def _size_shares(areas: np.ndarray) -> tuple[float, ...]:
    bounds = np.digitize(areas, SIZE_BOUNDS)
    return tuple(_share(bounds == k) for k in range(len(SIZE_NAMES)))


def _share(chosen: np.ndarray) -> float:
    return float(chosen.mean()) if len(chosen) else 0.0
