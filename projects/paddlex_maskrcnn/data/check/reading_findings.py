"""Findings of the readers, and of the files of images."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..datasets.problems import Problems
from ..image_headers import swaps_sides
from .findings import ERROR, NOTE, WARNING, Finding, Place, image_place
from .scan import Scan


def problem_findings(part: str, problems: Iterable[Problems]) -> list[Finding]:
    """What reading a part complained about, and what it repaired."""
    found = []
    for one in problems:
        for kind, places in one.found.items():
            level = WARNING if kind.skippable else ERROR
            remedy = kind.remedy
            if kind.skippable:
                remedy += "; or skip_invalid leaves it out"
            found.append(
                Finding("reading", level, kind.title, remedy, part, [Place(p) for p in places])
            )
        for title, places in one.repaired.items():
            remedy = "nothing has to be done: it is set right each time the data is read"
            found.append(Finding("repaired", NOTE, title, remedy, part, [Place(p) for p in places]))
    return found


def file_findings(scan: Scan) -> list[Finding]:
    """Files that cannot be decoded, that are listed twice, or that differ from the others."""
    found = [_undecodable(scan), _listed_twice(scan), _turned(scan), _without_objects(scan)]
    return found + _kinds(scan)


def _undecodable(scan: Scan) -> Finding:
    places = [
        image_place(scan, image, one.fault) for image, one in enumerate(scan.prints) if one.fault
    ]
    remedy = "replace the files: training stops at them"
    title = "image whose pixels cannot be decoded"
    return Finding("undecodable", ERROR, title, remedy, scan.name, places)


def _listed_twice(scan: Scan) -> Finding:
    images: dict[str, list[int]] = defaultdict(list)
    for image, file in enumerate(scan.files):
        images[file].append(image)
    places = []
    for file, same in images.items():
        if len(same) > 1:
            ids = ", ".join(str(scan.ids[image]) for image in same)
            others = tuple((scan.name, image) for image in same[1:])
            places.append(
                Place(f"images {ids} are all {file!r}", scan.name, same[0], others=others)
            )
    remedy = (
        "give each file one entry with all its objects: otherwise the objects of one entry are "
        "background to the other"
    )
    return Finding("listed-twice", ERROR, "file listed more than once", remedy, scan.name, places)


def _turned(scan: Scan) -> Finding:
    places = []
    for image, one in enumerate(scan.prints):
        if one.orientation != 1:
            sides = ", sides swapped" if swaps_sides(one.orientation) else ""
            places.append(image_place(scan, image, f"orientation {one.orientation}{sides}"))
    remedy = (
        "pixels are turned upright when they are read; make sure that the labelling tool did so too "
        "(the samples show whether masks lie on their objects)"
    )
    title = "photograph with an EXIF orientation"
    return Finding("orientation", NOTE, title, remedy, scan.name, places, len(scan.files))


def _without_objects(scan: Scan) -> Finding:
    per_image = scan.per_image
    crowd = set(scan.objects.image[scan.objects.is_crowd].tolist())
    places = [
        image_place(scan, image, "only a crowd region" if image in crowd else "")
        for image in range(len(scan.files))
        if not per_image[image]
    ]
    level = WARNING if len(places) > len(scan.files) / 2 else NOTE
    remedy = "they train as pure background: right if nothing is to be seen, wrong if unlabelled"
    title = "image without objects"
    return Finding("no-objects", level, title, remedy, scan.name, places, len(scan.files))


def _kinds(scan: Scan) -> list[Finding]:
    """The images that are stored unlike most others."""
    kinds = [one.kind for one in scan.prints]
    counts = Counter(kind for kind in kinds if kind)
    if len(counts) < 2:
        return []
    usual, *rest = (kind for kind, _ in counts.most_common())
    depths = {_depth(kind) for kind in counts}
    level = WARNING if len(depths) > 1 else NOTE
    places = [image_place(scan, image, kind) for image, kind in enumerate(kinds) if kind in rest]
    remedy = (
        "bring all images to one bit depth, as they are at prediction"
        if level == WARNING
        else "fine when prediction meets the same mixture: all are read as three channels"
    )
    title = f"image stored unlike most, which are {usual}"
    return [Finding("mixed-kinds", level, title, remedy, scan.name, places, len(kinds))]


def _depth(kind: str) -> str:
    """What decides on the range of values: 1 and 8 bits and palettes come out alike."""
    return next((depth for depth in ("16 bits", "32 bits", "float") if depth in kind), "8 bits")


def unequal_labels(scans: Sequence[Scan]) -> list[Finding]:
    """Parts whose classes differ in name or order."""
    first, found = scans[0], []
    for other in scans[1:]:
        if other.labels == first.labels:
            continue
        only = [name for name in first.labels if name not in other.labels]
        more = [name for name in other.labels if name not in first.labels]
        places = [Place(f"only {first.name}: {name!r}") for name in only]
        places += [Place(f"only {other.name}: {name!r}") for name in more]
        title = f"the classes of {first.name} and {other.name} differ"
        title += "" if places else " in their order"
        remedy = "give both the same categories in the same order: training refuses them otherwise"
        found.append(Finding("unequal-labels", ERROR, title, remedy, "", places, is_single=True))
    return found
