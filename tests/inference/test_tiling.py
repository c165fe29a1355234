"""Tiles and putting together what they cut, on drawn scenes with a detector that makes no mistakes."""

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.inference.detections import BoxMask, Detection
from paddlex_maskrcnn.inference.tiling import (
    Tile,
    cropped,
    intersection,
    merge_tiles,
    tiles_of,
    union,
)


@pytest.mark.parametrize("size", [(100, 100), (100, 101), (37, 400), (30, 20), (1, 1), (64, 65)])
@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.9, 0.99])
def test_tiles_cover_the_image_and_overlap_enough(size, overlap):
    tile = (40, 64)
    tiles = tiles_of(*size, tile, overlap)
    seen = np.zeros(size, int)
    for one in tiles:
        assert (one.bottom - one.top, one.right - one.left) == tuple(map(min, tile, size))
        assert min(one.left, one.top) >= 0
        assert (one.right, one.bottom) <= size[::-1]
        seen[one.top : one.bottom, one.left : one.right] += 1
    assert seen.min() == 1 or len(tiles) > 4
    assert len(set(tiles)) == len(tiles)
    tops, lefts = (sorted({getattr(one, side) for one in tiles}) for side in ("top", "left"))
    for starts, side in ((tops, tile[0]), (lefts, tile[1])):
        assert all(side - step >= min(overlap * side - 1, side - 1) for step in np.diff(starts))


def test_no_more_tiles_than_needed():
    assert len(tiles_of(100, 100, (100, 100), 0.5)) == 1
    assert tiles_of(10, 150, (100, 100), 0.5) == [Tile(0, 0, 100, 10), Tile(50, 0, 150, 10)]
    assert len(tiles_of(1000, 1000, (100, 100), 0.1)) == 121


def detection(mask, class_index=0, score=0.9, corner=(0, 0)):
    """A perfect detection of a dense mask that stands at a corner of the image."""
    x, y, width, height = cv2.boundingRect(mask)
    bits = np.ascontiguousarray(mask[y : y + height, x : x + width])
    x, y = x + corner[0], y + corner[1]
    box = (float(x), float(y), float(x + width), float(y + height))
    return Detection(box, score, class_index, BoxMask(x, y, bits))


def seen_in(tile, masks, splits):
    """What a perfect detector finds in a tile.

    Args:
        masks: (dense mask, class, score) of each object.
        splits: whether parts that do not touch inside the tile are several detections.
    """
    found = []
    for mask, class_index, score in masks:
        part = np.ascontiguousarray(mask[tile.top : tile.bottom, tile.left : tile.right])
        count, labels = cv2.connectedComponents(part, connectivity=4)
        pieces = [(labels == k).astype(np.uint8) for k in range(1, count)] if splits else [part]
        found += [
            detection(piece, class_index, score, (tile.left, tile.top))
            for piece in pieces
            if piece.any()
        ]
    return found


def in_one_part(mask):
    return cv2.connectedComponents(mask, connectivity=4)[0] == 2


def as_set(found, height, width):
    return {(one.class_index, one.box, one.mask.dense(height, width).tobytes()) for one in found}


@pytest.mark.parametrize("splits", [False, True])
@pytest.mark.parametrize("tile", [(48, 48), (40, 120), (64, 64), (30, 50)])
def test_drawn_scenes_come_back_whole(tile, splits):
    """Objects up to half the image, over two to six tiles, some covering others."""
    for index in range(12):
        rng = np.random.default_rng([7, index])
        _, drawn = draw_scene(rng, index, (96, 140))
        drawn = [one for one in drawn if in_one_part(one.visible)]
        if not drawn:
            continue
        height, width = drawn[0].visible.shape
        masks = [(one.visible, one.category, 0.5 + 0.01 * k) for k, one in enumerate(drawn)]
        tiles = tiles_of(height, width, tile, 0.25)
        assert len(tiles) > 1
        found = merge_tiles(tiles, [seen_in(one, masks, splits) for one in tiles])
        expected = [detection(*one) for one in masks]
        assert as_set(found, height, width) == as_set(expected, height, width)
        assert len(found) == len(expected)
        assert [one.score for one in found] == sorted((s for _, _, s in masks), reverse=True)


def test_the_scenes_are_cut():
    """Without merging there would be more objects: the test above can fail."""
    _, drawn = draw_scene(np.random.default_rng([7, 0]), 0, (96, 140))
    masks = [(one.visible, one.category, 0.5) for one in drawn]
    tiles = tiles_of(*drawn[0].visible.shape, (48, 48), 0.25)
    assert sum(len(seen_in(one, masks, False)) for one in tiles) > 2 * len(masks)


TILES = tiles_of(40, 100, (40, 60), 0.3)  # 0 to 60 and 40 to 100


def painted(*boxes):
    mask = np.zeros((40, 100), np.uint8)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = 1
    return mask


def merged(*masks, classes=None, splits=True):
    masks = [(one, classes[k] if classes else 0, 0.9 - 0.1 * k) for k, one in enumerate(masks)]
    return merge_tiles(TILES, [seen_in(one, masks, splits) for one in TILES])


def test_touching_neighbours_stay_two():
    """Side by side along the border of a tile, one above the other, and corner to corner."""
    assert len(merged(painted((30, 5, 50, 15)), painted((50, 5, 70, 15)))) == 2
    assert len(merged(painted((30, 5, 70, 15)), painted((30, 15, 70, 25)))) == 2
    assert len(merged(painted((0, 0, 60, 20)), painted((60, 0, 100, 20)))) == 2


def test_classes_are_kept_apart():
    assert len(merged(painted((30, 5, 70, 15)), painted((30, 5, 70, 15)), classes=[0, 1])) == 2


def test_two_legs_in_one_tile_belong_to_one_object():
    """The left tile sees both legs of a U but not what joins them."""
    whole = painted((10, 5, 90, 12), (10, 25, 90, 32), (80, 5, 90, 32))
    (found,) = merged(whole)
    assert np.array_equal(found.mask.dense(40, 100), whole)
    assert found.box == (10, 5, 90, 32)


def test_an_object_across_all_of_a_tile():
    tiles = tiles_of(40, 200, (40, 60), 0.2)
    whole = np.zeros((40, 200), np.uint8)
    whole[10:20, 5:195] = 1
    (found,) = merge_tiles(tiles, [seen_in(one, [(whole, 0, 0.5)], True) for one in tiles])
    assert np.array_equal(found.mask.dense(40, 200), whole)


def test_what_one_tile_sees_whole_keeps_its_mask():
    """The other tile's cut piece, though better scored and a pixel thicker, does not fray it."""
    whole = detection(painted((30, 4, 56, 36)), score=0.6)
    cut = detection(painted((40, 3, 57, 37)), score=0.8)
    (found,) = merge_tiles(TILES, [[whole], [cut]])
    assert found.box == whole.box
    assert np.array_equal(found.mask.bits, whole.mask.bits)
    assert found.score == 0.8


def test_a_doubtful_piece_does_not_tie_two_objects_together():
    """One tile sees two squares; the other takes them for one long thing, with a low score."""
    one, other = painted((42, 5, 50, 15)), painted((52, 5, 58, 15))
    long = detection(painted((40, 5, 90, 15)), score=0.3)
    found = merge_tiles(TILES, [[detection(one), detection(other, score=0.8)], [long]])
    assert [piece.score for piece in found] == [0.9, 0.8, 0.3]


def test_detections_of_one_tile_are_not_merged():
    """Whatever overlaps there, its NMS has let both live."""
    one, other = detection(painted((5, 5, 30, 30))), detection(painted((6, 6, 30, 30)), score=0.5)
    assert len(merge_tiles(TILES, [[one, other], []])) == 2


def test_no_tile_finds_anything():
    assert merge_tiles(TILES, [[], []]) == []


def test_mask_arithmetic_equals_that_of_whole_images():
    rng = np.random.default_rng(3)
    for _ in range(200):
        masks = []
        for _ in range(2):
            x, y = rng.integers(0, 20, 2)
            masks.append(BoxMask(x, y, rng.integers(0, 2, rng.integers(1, 12, 2), dtype=np.uint8)))
        one, other = (mask.dense(40, 40) for mask in masks)
        zone = Tile(*rng.integers(0, 16, 2), *rng.integers(16, 40, 2))
        part = np.zeros_like(one)
        part[zone.top : zone.bottom, zone.left : zone.right] = 1
        assert intersection(*masks) == (one & other).sum()
        assert np.array_equal(union(*masks).dense(40, 40), one | other)
        assert np.array_equal(cropped(masks[0], zone).dense(40, 40), one & part)
