"""`pdx.transforms`: PaddleX's other place of the operators, and its pictures."""

import cv2
import numpy as np
import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms


def test_the_operators_by_their_other_names():
    assert pdx.transforms.det_transforms is transforms
    assert pdx.transforms.Compose is transforms.Compose
    assert not hasattr(pdx.transforms, "CenterCrop")


def test_a_picture_after_each_operator(tiny_coco, tmp_path):
    pipeline = transforms.Compose(
        [transforms.RandomHorizontalFlip(1.0), transforms.Normalize(), transforms.ResizeByShort(96)]
    )
    data = tiny_coco.open(transforms=pipeline)
    written = pdx.transforms.visualize(data, img_count=2, save_dir=tmp_path / "shown")
    assert [path.name for path in written] == [
        "000_1_0_original.png", "001_1_1_RandomHorizontalFlip.png", "002_1_2_ResizeByShort.png",
        "003_2_0_original.png", "004_2_1_RandomHorizontalFlip.png", "005_2_2_ResizeByShort.png",
        "contact_sheet.png",
    ]  # fmt: skip
    pictures = [cv2.imread(str(path)) for path in written]
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any()
    before, after = (np.abs(picture[60:].astype(int)) for picture in pictures[:2])
    reflected = np.abs(before[:, ::-1] - after).mean()
    assert reflected < np.abs(before - after).mean(), "the second is the first, mirrored"


def test_more_images_than_there_are(tiny_coco, tmp_path):
    data = tiny_coco.open(transforms=transforms.Compose([transforms.Normalize()]))
    assert len(pdx.transforms.visualize(data, 99, tmp_path)) == 4 + 1
    with pytest.raises(ValueError, match="img_count is 0; at least 1"):
        pdx.transforms.visualize(data, 0, tmp_path)
    with pytest.raises(ValueError, match="has no transforms"):
        pdx.transforms.visualize(tiny_coco.open(), 1, tmp_path)
