"""What is wrong with the data: one finding a kind and part, with every location it was seen at.

Of the readers, of the files of images, and of single annotations; those of classes, of copies and of
anchors are in `classes`, `duplicates` and `anchors`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..datasets.problems import Problems
from ..image_headers import swaps_sides
from .objects import SAME_MASK
from .plan import Plan, resized_boxes
from .scan import Scan

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)

_TINY = 8  # pixels of the shorter side, as the network sees it
_MANY_TINY = 0.05  # share from which tiny objects are a warning
_OFF_PIXELS, _OFF_IOU = 2.0, 0.8  # both: boxes of small objects are off by rounding alone
_MOST_OUTSIDE = 0.5  # of an object's outline
_MANY_CORNERS = 0.5  # share of the objects from which boxes of two corners are an error


@dataclass(frozen=True)
class Location:
    """Where something was seen.

    Attributes:
        text: names file and ids.
        part: of the data; empty when no picture can be shown.
        image: position of the image in its part.
        objects: positions of annotations in the image.
        others: (part, position) of other images it is about.
        weight: the larger, the worse.
    """

    text: str
    part: str = ""
    image: int = -1
    objects: tuple[int, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    weight: float = 0.0


@dataclass
class Finding:
    """One kind of thing that is wrong or worth knowing.

    Attributes:
        kind: short name, for programs.
        level: ERROR, WARNING or NOTE.
        title: what it is, in words that fit after "3 x".
        remedy: what to do about it, one sentence.
        part: of the data, empty for all together.
        locations: all of them, worst first.
        out_of: how many there could have been; 0 where that means nothing.
        is_single: whether it is one statement about the whole, without a count.
    """

    kind: str
    level: str
    title: str
    remedy: str
    part: str = ""
    locations: list[Location] = field(default_factory=list)
    out_of: int = 0
    is_single: bool = False

    def headline(self) -> str:
        """Count, share and title."""
        if self.is_single:
            return self.title
        count = len(self.locations)
        if not self.out_of:
            return f"{count} x {self.title}"
        share = count / self.out_of
        return f"{count} x {self.title} ({'< 0.1%' if 0 < share < 0.001 else f'{share:.1%}'})"


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then what was seen most often."""
    seen = [finding for finding in findings if finding.locations or finding.is_single]
    for finding in seen:
        finding.locations.sort(key=lambda location: -location.weight)
    return sorted(seen, key=lambda finding: (LEVELS.index(finding.level), -len(finding.locations)))


def image_name(scan: Scan, image: int) -> str:
    """An image as findings name it."""
    return f"image {scan.ids[image]} ({scan.files[image]!r})"


def image_location(scan: Scan, image: int, detail: str = "", weight: float = 0.0) -> Location:
    """An image as a location."""
    text = image_name(scan, image) + (f": {detail}" if detail else "")
    return Location(text, scan.name, int(image), weight=weight)


def _object_location(scan: Scan, row: int, detail: str = "", weight: float = 0.0) -> Location:
    """An object, by its row in the table of a part, as a location."""
    image = int(scan.objects.image[row])
    text = f"{_object_name(scan, row)} of {image_name(scan, image)}"
    text += f": {detail}" if detail else ""
    return Location(text, scan.name, image, (int(scan.objects.index[row]),), weight=weight)


def _object_name(scan: Scan, row: int) -> str:
    objects = scan.objects
    return f"annotation {objects.number[row]} ({scan.labels[int(objects.category[row])]!r})"


def problem_findings(part: str, problems: Iterable[Problems]) -> list[Finding]:
    """What reading a part complained about, and what it repaired."""
    findings = []
    for read in problems:
        for kind, texts in read.occurrences.items():
            level = WARNING if kind.skippable else ERROR
            remedy = kind.remedy
            if kind.skippable:
                remedy += "; or skip_invalid leaves it out"
            locations = [Location(text) for text in texts]
            findings.append(Finding("reading", level, kind.title, remedy, part, locations))
        for title, texts in read.repaired.items():
            remedy = "nothing has to be done: it is set right each time the data is read"
            locations = [Location(text) for text in texts]
            findings.append(Finding("repaired", NOTE, title, remedy, part, locations))
        for kind, texts in read.remarks.items():
            locations = [Location(text) for text in texts]
            findings.append(Finding("reading", WARNING, kind.title, kind.remedy, part, locations))
    return findings


def file_findings(scan: Scan) -> list[Finding]:
    """Files that cannot be decoded, that are listed twice, or that differ from the others."""
    findings = [_undecodable(scan), listed_twice(scan), _turned(scan), _without_objects(scan)]
    return findings + _kinds(scan)


def _undecodable(scan: Scan) -> Finding:
    locations = [
        image_location(scan, image, taken.fault)
        for image, taken in enumerate(scan.fingerprints)
        if taken.fault
    ]
    remedy = "replace the files: training stops at them"
    title = "image whose pixels cannot be decoded"
    return Finding("undecodable", ERROR, title, remedy, scan.name, locations)


def listed_twice(scan: Scan) -> Finding:
    """Files that several image entries name."""
    images: dict[str, list[int]] = defaultdict(list)
    for image, file in enumerate(scan.files):
        images[file].append(image)
    locations = []
    for file, same in images.items():
        if len(same) > 1:
            ids = ", ".join(str(scan.ids[image]) for image in same)
            others = tuple((scan.name, image) for image in same[1:])
            locations.append(
                Location(f"images {ids} are all {file!r}", scan.name, same[0], others=others)
            )
    remedy = (
        "give each file one entry with all its objects: otherwise the objects of one entry are "
        "background to the other"
    )
    return Finding(
        "listed-twice", ERROR, "file listed more than once", remedy, scan.name, locations
    )


def _turned(scan: Scan) -> Finding:
    locations = []
    for image, taken in enumerate(scan.fingerprints):
        if taken.orientation != 1:
            sides = ", sides swapped" if swaps_sides(taken.orientation) else ""
            locations.append(image_location(scan, image, f"orientation {taken.orientation}{sides}"))
    remedy = (
        "pixels are turned upright when they are read; make sure that the labelling tool did so too "
        "(the samples show whether masks lie on their objects)"
    )
    title = "photograph with an EXIF orientation"
    return Finding("orientation", NOTE, title, remedy, scan.name, locations, len(scan.files))


def _without_objects(scan: Scan) -> Finding:
    per_image = scan.per_image
    crowd = set(scan.objects.image[scan.objects.is_crowd].tolist())
    locations = [
        image_location(scan, image, "only a crowd region" if image in crowd else "")
        for image in range(len(scan.files))
        if not per_image[image]
    ]
    level = WARNING if len(locations) > len(scan.files) / 2 else NOTE
    remedy = "they train as pure background: right if nothing is to be seen, wrong if unlabelled"
    title = "image without objects"
    return Finding("no-objects", level, title, remedy, scan.name, locations, len(scan.files))


def _kinds(scan: Scan) -> list[Finding]:
    """The images that are stored unlike most others."""
    kinds = [taken.kind for taken in scan.fingerprints]
    counts = Counter(kind for kind in kinds if kind)
    if len(counts) < 2:
        return []
    usual, *rest = (kind for kind, _ in counts.most_common())
    depths = {_depth(kind) for kind in counts}
    level = WARNING if len(depths) > 1 else NOTE
    locations = [
        image_location(scan, image, kind) for image, kind in enumerate(kinds) if kind in rest
    ]
    remedy = (
        "bring all images to one bit depth, as they are at prediction"
        if level == WARNING
        else "fine when prediction meets the same mixture: all are read as three channels"
    )
    title = f"image stored unlike most, which are {usual}"
    return [Finding("mixed-kinds", level, title, remedy, scan.name, locations, len(kinds))]


def _depth(kind: str) -> str:
    """What decides on the range of values: 1 and 8 bits and palettes come out alike."""
    deep = re.search(r"\b(1[0246]|32|64) bits|\bu?int(16|32|64)|\bint8|\bfloat\d+", kind)
    return deep[0] if deep else "8 bits"


def object_findings(scan: Scan, plan: Plan) -> list[Finding]:
    """Everything that one annotation, or two of one image, can have wrong with it."""
    return [
        _twins(scan, same_class=True),
        _twins(scan, same_class=False),
        two_corners(scan),
        mostly_outside(scan),
        _boxes_off_masks(scan),
        _tiny(scan, plan),
        _holes(scan),
        _crowded(scan, plan),
    ]


def _twins(scan: Scan, same_class: bool) -> Finding:
    first = np.searchsorted(scan.objects.image, np.arange(len(scan.files)))
    locations = []
    for twin in scan.twins:
        if twin.same_class == same_class:
            rows = [first[twin.image] + index for index in twin.indices]
            names = " and ".join(_object_name(scan, row) for row in rows)
            text = f"{names} of {image_name(scan, twin.image)}: IoU {twin.iou:.2f}"
            locations.append(Location(text, scan.name, twin.image, twin.indices, weight=twin.iou))
    if same_class:
        title = f"object annotated twice (same class, mask IoU > {SAME_MASK:g})"
        remedy = "delete one of the two: they compete for the same detection"
        return Finding("double", WARNING, title, remedy, scan.name, locations, _counted(scan))
    title = f"object in two classes (mask IoU > {SAME_MASK:g})"
    remedy = "decide on one class: the network learns exactly one for each object"
    return Finding("two-classes", WARNING, title, remedy, scan.name, locations, _counted(scan))


def two_corners(scan: Scan) -> Finding:
    """Boxes that are [x1, y1, x2, y2] where [x, y, width, height] is meant."""
    objects = scan.objects
    locations = _locations(scan, objects.box_is_corners & ~objects.is_crowd)
    is_most = len(locations) > _MANY_CORNERS * max(1, _counted(scan))
    remedy = (
        "write bbox as [x, y, width, height]: width and height are read where the far corner stands, "
        "so that boxes and masks contradict each other"
    )
    title = "box that is two corners [x1, y1, x2, y2]"
    level = ERROR if is_most else WARNING
    return Finding("two-corners", level, title, remedy, scan.name, locations, _counted(scan))


def mostly_outside(scan: Scan) -> Finding:
    """Objects of whose outline little is inside the image."""
    objects = scan.objects
    outside = (objects.inside < _MOST_OUTSIDE) & ~objects.is_crowd
    locations = _locations(
        scan, outside, lambda row: f"{objects.inside[row]:.0%} of it is inside", -objects.inside
    )
    remedy = (
        "compare the coordinates with the picture: they may be those of another picture, or of this one "
        "at another size"
    )
    title = "object that is mostly outside of its image"
    return Finding("outside", WARNING, title, remedy, scan.name, locations, _counted(scan))


def _boxes_off_masks(scan: Scan) -> Finding:
    objects = scan.objects
    off = (objects.box_offset > _OFF_PIXELS) & (objects.box_iou < _OFF_IOU) & ~objects.is_crowd
    off &= ~objects.box_is_corners  # named already
    locations = _locations(
        scan, off, lambda row: f"IoU {objects.box_iou[row]:.2f}", 1 - objects.box_iou
    )
    remedy = "correct the box or the mask: boxes and masks are learned apart and then contradict"
    title = f"box that is not the one around its mask (IoU < {_OFF_IOU:g})"
    return Finding("box-off-mask", WARNING, title, remedy, scan.name, locations, _counted(scan))


def _tiny(scan: Scan, plan: Plan) -> Finding:
    resized, rows = resized_boxes(scan, plan)
    shortest = np.full(len(scan.objects), np.inf)
    shortest[rows] = resized.boxes[:, 2:].min(axis=1, initial=np.inf)
    locations = _locations(
        scan, shortest < _TINY, lambda row: f"{shortest[row]:.1f} pixels", -shortest
    )
    level = WARNING if len(locations) > _MANY_TINY * max(1, len(rows)) else NOTE
    remedy = (
        "hardly anything is left of them for the network: raise short_size, cut images into tiles, "
        "or delete specks that nobody meant to draw"
    )
    title = f"object narrower than {_TINY} pixels after resizing"
    return Finding("tiny", level, title, remedy, scan.name, locations, len(rows))


def _holes(scan: Scan) -> Finding:
    objects = scan.objects
    chosen = (objects.holes > 0) & ~objects.is_crowd
    words = [f"{count} hole" + ("" if count == 1 else "s") for count in objects.holes.tolist()]
    locations = _locations(scan, chosen, lambda row: words[row], objects.holes)
    remedy = "right for rings; fill the specks that a brush has left open"
    return Finding("holes", NOTE, "mask with holes", remedy, scan.name, locations, _counted(scan))


def _crowded(scan: Scan, plan: Plan) -> Finding:
    per_image = scan.per_image
    locations = [
        image_location(scan, int(image), f"{per_image[image]} objects", float(per_image[image]))
        for image in np.flatnonzero(per_image > plan.most_detections)
    ]
    remedy = (
        f"raise model.keep_top_k to at least {per_image.max(initial=0)}: the rest can never be "
        f"found (COCO's own evaluation stops at 100 an image, too)"
    )
    title = f"image with more objects than are kept ({plan.most_detections})"
    return Finding("crowded", WARNING, title, remedy, scan.name, locations, len(scan.files))


def _locations(
    scan: Scan,
    chosen: np.ndarray,
    detail: Callable[[int], str] = lambda row: "",
    weight: np.ndarray | None = None,
) -> list[Location]:
    return [
        _object_location(
            scan, int(row), detail(int(row)), 0.0 if weight is None else float(weight[row])
        )
        for row in np.flatnonzero(chosen)
    ]


def _counted(scan: Scan) -> int:
    return int((~scan.objects.is_crowd).sum())
