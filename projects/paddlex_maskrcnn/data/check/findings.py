"""What is wrong with the data: one finding a kind and part, with every place it was seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .scan import Scan

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Place:
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
        places: all of them, worst first.
        out_of: how many there could have been; 0 where that means nothing.
        is_single: whether it is one statement about the whole, without a count.
    """

    kind: str
    level: str
    title: str
    remedy: str
    part: str = ""
    places: list[Place] = field(default_factory=list)
    out_of: int = 0
    is_single: bool = False

    def headline(self) -> str:
        """Count, share and title."""
        if self.is_single:
            return self.title
        count = len(self.places)
        if not self.out_of:
            return f"{count} x {self.title}"
        share = count / self.out_of
        return f"{count} x {self.title} ({'< 0.1%' if 0 < share < 0.001 else f'{share:.1%}'})"


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then what was seen most often."""
    kept = [one for one in findings if one.places or one.is_single]
    for one in kept:
        one.places.sort(key=lambda place: -place.weight)
    return sorted(kept, key=lambda one: (LEVELS.index(one.level), -len(one.places)))


def image_name(scan: Scan, image: int) -> str:
    """An image as findings name it."""
    return f"image {scan.ids[image]} ({scan.files[image]!r})"


def image_place(scan: Scan, image: int, detail: str = "", weight: float = 0.0) -> Place:
    """An image as a place."""
    text = image_name(scan, image) + (f": {detail}" if detail else "")
    return Place(text, scan.name, int(image), weight=weight)


def object_place(scan: Scan, row: int, detail: str = "", weight: float = 0.0) -> Place:
    """An object, by its row in the table of a part, as a place."""
    objects = scan.objects
    image = int(objects.image[row])
    label = scan.labels[int(objects.category[row])]
    text = f"annotation {objects.number[row]} ({label!r}) of {image_name(scan, image)}"
    text += f": {detail}" if detail else ""
    return Place(text, scan.name, image, (int(objects.place[row]),), weight=weight)
