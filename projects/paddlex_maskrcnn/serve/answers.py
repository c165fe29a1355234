"""What the service answers, as models that make its /docs page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ..data.masks import polygons_of_rle, runs_of

Polygon = list[int]


class Rle(BaseModel):
    """COCO's compressed run lengths; pycocotools' `mask.decode` takes them."""

    size: Annotated[list[int], Field(description="height, width", min_length=2, max_length=2)]
    counts: str


class FoundObject(BaseModel):
    """One object, as `predict` gives it."""

    bbox: Annotated[
        list[float], Field(description="xmin, ymin, width, height in pixels", min_length=4)
    ]
    category: str
    category_id: int = Field(description="1 is the first class")
    score: float
    segmentation: Rle | list[Polygon] | None = Field(
        description="By mask_format: run lengths; polygons [x1, y1, x2, y2, ...], one for each part, "
        "a single one with bridges where there are holes; null."
    )


class Image(BaseModel):
    """The upright image, in pixels."""

    width: int
    height: int


class Timings(BaseModel):
    """Seconds of a request, from the moment its upload was complete."""

    decode: float = Field(description="bytes to pixels")
    queue: float = Field(description="waiting for the model")
    model: float = Field(description="the run of the network, shared by its batch")
    masks: float = Field(description="masks and polygons")
    total: float


class Answer(BaseModel):
    """Objects of an image, best first."""

    image: Image
    objects: list[FoundObject]
    timings: Timings


class Problem(BaseModel):
    """Why there are no objects."""

    detail: str
    id: str | None = Field(None, description="of a failure inside, as it stands in the log")


def as_answers(objects: Sequence[Any], mask_format: str) -> list[FoundObject]:
    """Objects with their masks made.

    Args:
        objects: of `predict`, masks unread.
        mask_format: rle, polygon or none.
    """
    return [_as_answer(one, mask_format) for one in objects]


def _as_answer(one: Any, mask_format: str) -> FoundObject:
    segmentation: Any = None
    if mask_format != "none":
        segmentation = one.as_rle()["mask"]
    if mask_format == "polygon":
        loops = polygons_of_rle(segmentation) if _has_pixels(segmentation) else []
        segmentation = [loop.astype(int).ravel().tolist() for loop in loops]
    kept = {name: one[name] for name in ("bbox", "category", "category_id", "score")}
    return FoundObject(**kept, segmentation=segmentation)


def _has_pixels(rle: dict[str, Any]) -> bool:
    """An empty mask has one run only."""
    return len(runs_of(rle)) > 1
