"""What a request may ask, what is answered, and the sentence that says why there is no answer.

The models make the service's /docs page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..data.masks import polygons_of_rle, runs_of
from ..inference.predict import PredictOptions

CLIENT_GONE = 499  # nginx's number: nobody reads the answer, the metrics count it

_ALLOWED = {
    "score_threshold": "0 to 1",
    "mask_format": "rle, polygon or none",
    "tile": "pixels >= 16, one number or HEIGHTxWIDTH",
    "overlap": "above 0 and below 1; a part of each tile, such as 0.2",
}
_SHOWN = 60  # characters of a value that a message repeats
MaskFormat = Literal["rle", "polygon", "none"]
Polygon = list[int]


class RefusalError(Exception):
    """An answer that is not 200.

    Attributes:
        status: of HTTP.
        sentence: for the person who sent the request.
        headers: of the answer.
    """

    def __init__(
        self, status: int | HTTPStatus, sentence: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = int(status), sentence, headers or {}


class Query(BaseModel):
    """Options of `POST /predict`."""

    model_config = ConfigDict(extra="forbid")

    score_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Least score of an object; not below the model's own, which is the default.",
    )
    mask_format: MaskFormat = Field(
        "rle",
        description="COCO's run lengths, polygons with exactly the mask's pixels, or nothing.",
    )
    tile: str | None = Field(
        None,
        pattern=r"^[0-9]{2,7}(x[0-9]{2,7})?$",
        description="Look at a large image in tiles of so many pixels, or of HEIGHTxWIDTH.",
    )
    overlap: float = Field(
        0.2, gt=0, lt=1, description="Least share of a tile that it has in common with the next."
    )

    def options(self, batch_size: int) -> PredictOptions:
        """As `predict` takes them.

        Raises:
            ValueError: for a tile that is too small.
        """
        sides = [int(side) for side in self.tile.split("x")] if self.tile else []
        return PredictOptions(
            score_threshold=self.score_threshold,
            tile=(sides[0], sides[-1]) if sides else None,
            overlap=self.overlap,
            batch_size=batch_size,
        )


def sentence_about(errors: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with the first wrong option, given pydantic's findings."""
    error = errors[0]
    name = str(error["loc"][-1])
    if error["type"] == "extra_forbidden":
        close = get_close_matches(name, _ALLOWED, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"there is no option {name[:_SHOWN]!r}; there are {', '.join(_ALLOWED)}{hint}"
    value = str(error.get("input"))[:_SHOWN]
    return f"{name} is {value!r}; allowed: {_ALLOWED.get(name, error['msg'])}"


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
    return [_as_answer(detection, mask_format) for detection in objects]


def _as_answer(detection: Any, mask_format: str) -> FoundObject:
    segmentation: Any = None
    if mask_format != "none":
        segmentation = detection.as_rle()["mask"]
    if mask_format == "polygon":
        loops = polygons_of_rle(segmentation) if _has_pixels(segmentation) else []
        segmentation = [loop.astype(int).ravel().tolist() for loop in loops]
    copied = {name: detection[name] for name in ("bbox", "category", "category_id", "score")}
    return FoundObject(**copied, segmentation=segmentation)


def _has_pixels(rle: dict[str, Any]) -> bool:
    """An empty mask has one run only."""
    return len(runs_of(rle)) > 1
