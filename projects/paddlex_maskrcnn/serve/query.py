"""Options of a request, in its address, and what is said about wrong ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..inference.predict import PredictOptions

_ALLOWED = {
    "score_threshold": "0 to 1",
    "mask_format": "rle, polygon or none",
    "tile": "pixels >= 16, one number or HEIGHTxWIDTH",
    "overlap": "above 0 and below 1; a part of each tile, such as 0.2",
}
_SHOWN = 60  # characters of a value that a message repeats

MaskFormat = Literal["rle", "polygon", "none"]


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
