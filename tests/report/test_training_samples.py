import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances, PolygonMasks

from paddlex_maskrcnn.report.training_samples import (
    as_pixels,
    contact_sheet,
    objects_of,
    write_samples,
)

LABELS = ["bolt", "nut"]
CORNERS = np.array([4.0, 4, 24, 4, 24, 30, 4, 30])


def sample(image=None, crowd=False):
    instances = Instances((48, 64))
    instances.gt_boxes = Boxes(torch.tensor([[4.0, 4, 24, 30], [30, 10, 44.5, 24]]))
    instances.gt_classes = torch.tensor([1, 0])
    square = np.array([30.0, 10, 44, 10, 44, 24, 30, 24])
    instances.gt_masks = PolygonMasks([[CORNERS], [square]])
    if crowd:
        instances.gt_crowd = torch.tensor([False, True])
    pixels = torch.zeros(3, 48, 64, dtype=torch.uint8) if image is None else image
    return {"image": pixels, "file_name": "folder/photo.jpg", "instances": instances}


def test_targets_as_objects():
    first, second = objects_of(sample(), LABELS)
    assert first["bbox"] == [4, 4, 20, 26]
    assert (first["category"], first["category_id"], first["score"]) == ("nut", 2, None)
    expected = np.zeros((48, 64), np.uint8)
    expected[4:30, 4:24] = 1
    np.testing.assert_array_equal(first["mask"], expected)
    assert second["mask"].sum() == 14 * 14


def test_a_crowd_region_says_so_and_has_no_mask():
    first, second = objects_of(sample(crowd=True), LABELS)
    assert first["category"] == "nut"
    assert second["category"] == "bolt (crowd)"
    assert second["mask"] is None


def test_files_are_numbered_and_the_sheet_comes_last(tmp_path):
    empty = sample()
    empty["instances"] = empty["instances"][:0]
    written = write_samples([sample(), sample(crowd=True), empty], LABELS, tmp_path / "new")
    names = [path.name for path in written]
    assert names == ["000_photo.png", "001_photo.png", "002_photo.png", "contact_sheet.png"]
    pictures = [cv2.imread(str(path)) for path in written]
    assert pictures[0].shape[1] == 512  # small images are enlarged
    painted = [len(np.unique(picture[60:].reshape(-1, 3), axis=0)) for picture in pictures]
    assert painted[2] == 1  # nothing but the black image below the title
    assert painted[0] > 3
    assert pictures[3].shape[1] > pictures[0].shape[1]
    assert write_samples([], LABELS, tmp_path / "none") == []


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, [1, 1, 1]), (2, [1, 1, 1]), (3, [1, 2, 3]), (5, [1, 2, 3])]
)
def test_any_number_of_channels_can_be_looked_at(channels, expected):
    image = np.arange(1, channels + 1, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    assert as_pixels(image, (0, 255))[0, 0].tolist() == expected


def test_floats_go_from_black_to_white_as_normalize_says():
    image = np.array([100.0, 300.0, 700.0], np.float32)[:, None, None]
    assert as_pixels(image, (100, 500))[0, 0].tolist() == [0, 127, 255]


def test_a_sheet_has_rows_of_four():
    tiles = [np.full((30, 40, 3), 10 * k, np.uint8) for k in range(6)]
    sheet = contact_sheet(tiles)
    assert sheet.shape == (2 * 38 + 8, 4 * 48 + 8, 3)
    assert (sheet[8 + 38 : 8 + 68, 8 + 48 : 8 + 88] == 50).all()
    assert (sheet[-30:, -40:] == 255).all()
