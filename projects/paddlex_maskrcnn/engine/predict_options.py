"""How to predict, as `predict` and `batch_predict` take it, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

from ..inference.results import DENSE, MASK_FORMATS


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Keyword arguments of `predict`.

    Attributes:
        score_threshold: least score of an object, applied after NMS; None: the model's own.
        mask_format: one of MASK_FORMATS.
        batch_size: largest number of images that run together.
        tile: side of the tiles, or (height, width), pixels of the original image; None: no tiles.
        overlap: share of a tile's side that it has in common with the next one.

    Raises:
        ValueError: naming the argument, its value and what is allowed.
    """

    score_threshold: float | None = None
    mask_format: str = DENSE
    batch_size: int = 8
    tile: int | tuple[int, int] | None = None
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if self.mask_format not in MASK_FORMATS:
            close = get_close_matches(str(self.mask_format), MASK_FORMATS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            _refuse("mask_format", self.mask_format, f"'dense', 'rle' or 'box'{hint}")
        if not _is_count(self.batch_size):
            _refuse("batch_size", self.batch_size, "an integer >= 1")
        if self.tile is not None and self.tile_size is None:
            _refuse("tile", self.tile, "pixels >= 16, one number or (height, width)")
        if not _is_number(self.overlap) or not 0 < self.overlap < 1:
            _refuse(
                "overlap", self.overlap, "above 0 and below 1; a part of each tile, such as 0.2"
            )

    @property
    def tile_size(self) -> tuple[int, int] | None:
        """(height, width) of a tile, or None."""
        sides = (self.tile, self.tile) if isinstance(self.tile, Integral) else self.tile
        if not isinstance(sides, (tuple, list)) or len(sides) != 2:
            return None
        if not all(_is_count(side) and side >= 16 for side in sides):
            return None
        return int(sides[0]), int(sides[1])

    def least_score(self, own: float) -> float:
        """The threshold to apply.

        Args:
            own: the model's, below which its NMS has dropped everything.

        Raises:
            ValueError: for one that is lower, or no score.
        """
        asked = self.score_threshold
        if asked is None:
            return 0.0  # the network has applied its own
        if not _is_number(asked) or not 0 <= asked <= 1:
            _refuse("score_threshold", asked, "0 to 1")
        if asked < own:
            raise ValueError(
                f"score_threshold is {asked}, but this model drops everything below {own:g} before "
                f"its NMS; give at least that, or lower params.score_threshold in its model.yml and "
                f"load it again"
            )
        return float(asked)


def _refuse(name: str, value: Any, allowed: str) -> None:
    raise ValueError(f"{name} is {value!r}; allowed: {allowed}")


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
