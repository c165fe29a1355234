"""Which objects of two results are the same, and by how much they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

PIXELS = 100  # of a box's coordinates for each 1 of a score: at 0.001 a tenth of a pixel


@dataclass
class Found:
    """Objects of one image, best first.

    Attributes:
        boxes: (N, 4) XYXY pixels of the network's input.
        scores: (N,).
        labels: (N,).
        masks: (N, M, M) probabilities.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


@dataclass
class Differences:
    """Largest differences between objects that are the same: pixels, and parts of 1."""

    box: float = 0.0
    score: float = 0.0
    mask: float = 0.0

    def widen(self, other: Differences) -> None:
        """Take over what is larger in another."""
        self.box = max(self.box, other.box)
        self.score = max(self.score, other.score)
        self.mask = max(self.mask, other.mask)

    def __str__(self) -> str:
        return f"boxes {self.box:.2g} pixels, scores {self.score:.2g}, masks {self.mask:.2g}"


@dataclass
class Match:
    """Two results compared.

    Attributes:
        pairs: (index in the first, index in the second) of the same objects.
        alone, others_alone: indices of those without a counterpart in the first, in the second.
        differences: of the pairs.
    """

    pairs: list[tuple[int, int]]
    alone: list[int]
    others_alone: list[int]
    differences: Differences = field(default_factory=Differences)


def match(first: Found, second: Found, tolerance: float) -> Match:
    """Pair objects of one class whose scores and masks differ by no more than the tolerance.

    Boxes may differ by PIXELS times it. Pairs are made from the closest on; each object is in one.
    """
    distance = _distances(first, second, tolerance)
    pairs: list[tuple[int, int]] = []
    while distance.size and distance.min() <= 1:
        row, column = np.unravel_index(distance.argmin(), distance.shape)
        pairs.append((int(row), int(column)))
        distance[row], distance[:, column] = np.inf, np.inf
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    return Match(
        pairs,
        [one for one in range(len(first)) if one not in rows],
        [one for one in range(len(second)) if one not in columns],
        _largest(first, second, pairs),
    )


def nearest(one: int, of: Found, among: Found) -> str:
    """What an object without a counterpart is like, for a message."""
    told = f"class {of.labels[one]}, score {of.scores[one]:.4f}, box {_rounded(of.boxes[one])}"
    rows = np.flatnonzero(among.labels == of.labels[one])
    if not len(rows):
        return f"{told}; the other has none of this class"
    row = rows[np.abs(among.boxes[rows] - of.boxes[one]).max(axis=1).argmin()]
    return f"{told}; nearest score {among.scores[row]:.4f}, box {_rounded(among.boxes[row])}"


def _distances(first: Found, second: Found, tolerance: float) -> np.ndarray:
    """(N, M): 1 is as far apart as allowed, infinite for other classes."""
    boxes = np.abs(first.boxes[:, None] - second.boxes[None]).max(axis=2, initial=0) / PIXELS
    scores = np.abs(first.scores[:, None] - second.scores[None])
    distance = np.maximum(boxes, scores) / tolerance
    distance[first.labels[:, None] != second.labels[None]] = np.inf
    for row, column in np.argwhere(distance <= 1):
        masks = _mask_difference(first, second, row, column) / tolerance
        distance[row, column] = max(distance[row, column], masks)
    return np.where(np.isnan(distance), np.inf, distance)


def _mask_difference(first: Found, second: Found, row: int, column: int) -> float:
    return float(np.abs(first.masks[row] - second.masks[column]).max(initial=0))


def _largest(first: Found, second: Found, pairs: Sequence[tuple[int, int]]) -> Differences:
    largest = Differences()
    for row, column in pairs:
        box = float(np.abs(first.boxes[row] - second.boxes[column]).max())
        score = float(abs(first.scores[row] - second.scores[column]))
        largest.widen(Differences(box, score, _mask_difference(first, second, row, column)))
    return largest


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(side), 2) for side in box]
