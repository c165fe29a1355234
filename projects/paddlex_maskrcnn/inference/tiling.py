"""Large images in overlapping tiles, and the pieces of cut objects put together again.

Two tiles see the zone they share both. Detections of one class are the same object when their masks
agree there: IoU of what lies in the zone, or, for a piece that its tile's border cuts off,
the share of it that lies in the other (a U of which one tile sees two legs). What lies outside of
the zone says nothing, since only one of them could see it; comparing whole boxes or masks, as
SAHI's (https://arxiv.org/abs/2202.06934) merging does, misses long objects and joins neighbours.
An object that one tile sees whole keeps that tile's mask; pieces are united.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .detections import BoxMask, Detection

SAME = 0.5  # IoU in the shared zone, or share of a cut piece, from which two are one object
_ALIKE = 0.5  # least ratio of their scores: doubtful ones must not tie sure ones together
_NEAR = 0.01  # distance to a border, of the tile's side, at which an object counts as cut
_NEAR_PIXELS = 2.0
_PASTED_CACHE = 64  # masks


@dataclass(frozen=True)
class Tile:
    """A part of an image, pixels; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    def common(self, other: Tile) -> Tile:
        """What both see; its right lies left of its left when that is nothing."""
        return Tile(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.right <= self.left or self.bottom <= self.top


def tiles_of(height: int, width: int, tile: tuple[int, int], overlap: float) -> list[Tile]:
    """Tiles of one size that cover an image, row by row.

    Args:
        height, width: of the image, pixels.
        tile: (height, width) of a tile, pixels; an image that is smaller is one tile of its size.
        overlap: least share of a tile's side that it has in common with the next one.
    """
    tops, leftmost = _starts(height, tile[0], overlap), _starts(width, tile[1], overlap)
    rows, columns = min(tile[0], height), min(tile[1], width)
    return [Tile(left, top, left + columns, top + rows) for top in tops for left in leftmost]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Where tiles begin, evenly spread from the first pixel to the last."""
    if side >= length:
        return [0]
    step = max(1, math.floor(side * (1 - overlap)))
    gaps = math.ceil((length - side) / step)
    return [round(number * (length - side) / gaps) for number in range(gaps + 1)]


@dataclass(frozen=True)
class _Piece:
    """A detection, the tile it comes from, and whether a border inside the image cuts it off."""

    detection: Detection
    tile: Tile
    is_cut: bool


def merge_tiles(
    tiles: Sequence[Tile], detections: Sequence[Sequence[Detection]]
) -> list[Detection]:
    """Detections of an image, best first, each object once and whole.

    Args:
        tiles: as of `tiles_of`.
        detections: of each tile, in pixels of the image.
    """
    height, width = max(tile.bottom for tile in tiles), max(tile.right for tile in tiles)
    pieces = [
        _Piece(detection, tile, _is_cut(detection, tile, height, width))
        for tile, in_tile in zip(tiles, detections, strict=True)
        for detection in in_tile
    ]
    group = _Groups(len(pieces))
    for first, second in _same_objects(tiles, pieces):
        group.join(first, second)
    merged = [_united([pieces[index] for index in indices]) for indices in group.members()]
    return sorted(merged, key=lambda detection: -detection.score)


def _is_cut(detection: Detection, tile: Tile, height: int, width: int) -> bool:
    x1, y1, x2, y2 = detection.box
    near_x = max(_NEAR_PIXELS, _NEAR * (tile.right - tile.left))
    near_y = max(_NEAR_PIXELS, _NEAR * (tile.bottom - tile.top))
    return (
        (tile.left > 0 and x1 - tile.left <= near_x)
        or (tile.top > 0 and y1 - tile.top <= near_y)
        or (tile.right < width and tile.right - x2 <= near_x)
        or (tile.bottom < height and tile.bottom - y2 <= near_y)
    )


def _same_objects(tiles: Sequence[Tile], pieces: Sequence[_Piece]) -> Iterator[tuple[int, int]]:
    """Pairs of pieces from different tiles that are one object."""
    # pasting a mask head's output takes longer than comparing it, and neighbours are compared in turn
    pasted = lru_cache(_PASTED_CACHE)(lambda index: _as_pasted(pieces[index].detection.mask))
    indices: dict[Tile, list[int]] = {tile: [] for tile in tiles}
    for index, piece in enumerate(pieces):
        indices[piece.tile].append(index)
    boxes = np.array([piece.detection.box for piece in pieces]).reshape(-1, 4)
    for i, tile in enumerate(tiles):
        for other in tiles[i + 1 :]:
            zone = tile.common(other)
            if zone.is_empty:
                continue
            for a, b in _candidates(zone, indices[tile], indices[other], boxes):
                if _is_same(pieces[a], pieces[b], a, b, pasted, zone):
                    yield a, b


def _candidates(
    zone: Tile, first: Sequence[int], second: Sequence[int], boxes: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Pairs whose boxes overlap inside the zone."""
    a, b = np.array(first, int), np.array(second, int)
    if not len(a) or not len(b):
        return
    low = np.maximum(boxes[a, None, :2], boxes[None, b, :2])
    high = np.minimum(boxes[a, None, 2:], boxes[None, b, 2:])
    low = np.maximum(low, (zone.left, zone.top))
    high = np.minimum(high, (zone.right, zone.bottom))
    for i, j in zip(*np.nonzero((low < high).all(axis=2)), strict=True):
        yield first[i], second[j]


def _is_same(
    piece: _Piece, other: _Piece, a: int, b: int, pasted: Callable[[int], BoxMask], zone: Tile
) -> bool:
    low, high = sorted((piece.detection.score, other.detection.score))
    if piece.detection.class_index != other.detection.class_index or low < _ALIKE * high:
        return False
    first, second = cropped(pasted(a), zone), cropped(pasted(b), zone)
    area, other_area = int(first.bits.sum()), int(second.bits.sum())
    common = intersection(first, second)
    if common == 0:
        return False
    if common >= SAME * (area + other_area - common):
        return True
    smaller_is_cut = piece.is_cut if area <= other_area else other.is_cut
    return smaller_is_cut and common >= SAME * min(area, other_area)


def cropped(mask: BoxMask, zone: Tile) -> BoxMask:
    """The part of a mask that lies in a zone."""
    rows, columns = mask.bits.shape
    part = zone.common(Tile(mask.x, mask.y, mask.x + columns, mask.y + rows))
    if part.is_empty:
        return BoxMask(zone.left, zone.top, np.zeros((0, 0), np.uint8))
    y, x = part.top - mask.y, part.left - mask.x
    bits = mask.bits[y : y + part.bottom - part.top, x : x + part.right - part.left]
    return BoxMask(part.left, part.top, bits)


def intersection(mask: BoxMask, other: BoxMask) -> int:
    """Pixels that two masks have in common."""
    rows, columns = other.bits.shape
    window = Tile(other.x, other.y, other.x + columns, other.y + rows)
    part = cropped(mask, window)
    rows, columns = part.bits.shape
    same = cropped(other, Tile(part.x, part.y, part.x + columns, part.y + rows))
    return int(np.count_nonzero(part.bits & same.bits)) if part.bits.size else 0


def union(first: BoxMask, second: BoxMask) -> BoxMask:
    """The pixels of either mask, in the window that holds both."""
    left, top = min(first.x, second.x), min(first.y, second.y)
    right = max(mask.x + mask.bits.shape[1] for mask in (first, second))
    bottom = max(mask.y + mask.bits.shape[0] for mask in (first, second))
    bits = np.zeros((bottom - top, right - left), np.uint8)
    for mask in map(_as_pasted, (first, second)):
        rows, columns = mask.bits.shape
        bits[mask.y - top : mask.y - top + rows, mask.x - left : mask.x - left + columns] |= (
            mask.bits
        )
    return BoxMask(left, top, bits)


def _united(pieces: Sequence[_Piece]) -> Detection:
    """One object of its pieces: the best of those seen whole, else all together."""
    if len(pieces) == 1:
        return pieces[0].detection
    first, *others = sorted(pieces, key=_rank)
    score = max(piece.detection.score for piece in pieces)
    box, mask = first.detection.box, first.detection.mask
    if first.is_cut:
        for piece in others:
            mask, box = union(mask, piece.detection.mask), _around(box, piece.detection.box)
    return Detection(box, score, first.detection.class_index, mask)


def _rank(piece: _Piece) -> tuple[bool, float]:
    """Whole ones by score, cut ones by size."""
    x1, y1, x2, y2 = piece.detection.box
    return piece.is_cut, -(x2 - x1) * (y2 - y1) if piece.is_cut else -piece.detection.score


def _around(
    box: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    x1, y1 = min(box[0], other[0]), min(box[1], other[1])
    return x1, y1, max(box[2], other[2]), max(box[3], other[3])


def _as_pasted(mask: BoxMask) -> BoxMask:
    """The mask with its bits made once, whatever it makes them of."""
    return BoxMask(mask.x, mask.y, mask.bits)


class _Groups:
    """Which indices belong together (union-find)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def join(self, index: int, other: int) -> None:
        low, high = sorted((self._root(index), self._root(other)))
        self._parent[high] = low

    def members(self) -> list[list[int]]:
        """Each group's indices, groups in order of their first."""
        groups: dict[int, list[int]] = {}
        for index in range(len(self._parent)):
            groups.setdefault(self._root(index), []).append(index)
        return list(groups.values())

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index
