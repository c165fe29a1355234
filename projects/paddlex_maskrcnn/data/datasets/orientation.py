"""On which pixels of a photograph with an EXIF orientation annotations were drawn: as stored, or upright.

The size that annotations say tells it, unless a tool wrote one and drew on the other: Label Studio writes
the stored size, and points as fractions of the upright picture times that size
(HumanSignal/label-studio#6608). Only points outside of the stored picture give that away, so the data set's
parameter `exif` can say it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..image_headers import Header, Size
from .annotations import ImageFrame, RawAnnotation
from .problems import Kind, Problems

AUTO, STORED, UPRIGHT = "auto", "stored", "upright"

UNCLEAR = Kind(
    "photograph with an EXIF orientation whose annotations say the size of the stored pixels",
    "they are taken as drawn on the stored pixels; look at them with the command check, and if masks lie "
    "beside their objects (Label Studio exports points of the upright picture so), set the data set's "
    "parameter exif: upright, otherwise exif: stored",
)
OUTSIDE_STORED = Kind(
    "photograph with an EXIF orientation whose annotations say the stored size, with points outside of it",
    "these are taken as drawn on the upright pixels; if all annotations of this set were, set the data set's "
    "parameter exif: upright",
)
_TOLERANCE = 2.0, 0.01  # pixels, and share of the side: what tools draw over the border


def drawn_on(header: Header, said: Size | None, exif: str) -> ImageFrame | None:
    """The frame of annotations before their points are looked at; None where their size is another.

    Args:
        said: the (height, width) they were made for, None where they say nothing.
        exif: AUTO, STORED or UPRIGHT.
    """
    if exif == STORED:
        return ImageFrame(*header.stored, True) if said in (None, header.stored) else None
    if said is None:
        return ImageFrame(*header.upright)
    return ImageFrame(*said) if header.fits(said) else None


def moved_upright(
    header: Header,
    frame: ImageFrame,
    annotations: list[RawAnnotation],
    exif: str,
    problems: Problems,
    where: str,
) -> tuple[ImageFrame, list[RawAnnotation]]:
    """Frame and annotations of a turned photograph, upright where they are of the upright picture.

    Args:
        frame: as of `drawn_on`.
        problems: takes the remark that it cannot be told.
        where: names the picture there.
    """
    size = frame.height, frame.width
    if exif == STORED or size == header.upright:
        return frame, annotations
    upright = ImageFrame(*header.upright)
    if _reach_out(annotations, frame):
        if exif == AUTO:
            problems.remark(OUTSIDE_STORED, where)
        return upright, annotations
    if exif == AUTO:
        problems.remark(UNCLEAR, where)
        return frame, annotations
    scale = upright.width / frame.width, upright.height / frame.height
    return upright, [_scaled(annotation, scale) for annotation in annotations]


def _reach_out(annotations: Sequence[RawAnnotation], frame: ImageFrame) -> bool:
    """Whether points lie clearly to the right of the frame or below it."""
    pixels, share = _TOLERANCE
    right = frame.width + max(pixels, share * frame.width)
    bottom = frame.height + max(pixels, share * frame.height)
    return any(
        max(points[0::2]) > right or max(points[1::2]) > bottom
        for annotation in annotations
        for points in _polygons(annotation.segmentation)
    )


def _scaled(annotation: RawAnnotation, scale: tuple[float, float]) -> RawAnnotation:
    """An annotation in fractions of another size; run lengths stay, and are refused by their size."""
    polygons = _polygons(annotation.segmentation)
    if not polygons:
        return annotation
    box, area = annotation.bbox, annotation.area
    is_box = isinstance(box, list) and len(box) == 4 and _are_numbers(box)
    is_area = isinstance(area, int | float)
    return replace(
        annotation,
        segmentation=[_times(points, scale) for points in polygons],
        bbox=_times(box, scale) if is_box else box,
        area=area * scale[0] * scale[1] if is_area else area,
    )


def _polygons(segmentation: Any) -> list[list[float]]:
    """The polygons, none where one of them is not as it should be: the check of annotations names that."""
    if not isinstance(segmentation, list):
        return []
    are_usable = all(
        isinstance(points, list) and points and len(points) % 2 == 0 and _are_numbers(points)
        for points in segmentation
    )
    return segmentation if are_usable else []


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _times(values: list[float], scale: tuple[float, float]) -> list[float]:
    return [value * scale[k % 2] for k, value in enumerate(values)]
