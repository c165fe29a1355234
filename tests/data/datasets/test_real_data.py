"""The photographs of ../shared load without a false alarm, and its two forms of masks agree."""

from pathlib import Path

import numpy as np
import pytest
from detectron2.structures import BitMasks

from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.transforms import Compose, RandomHorizontalFlip, ResizeByShort

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not there"),
]


def load(name, ann):
    folder = SHARED / name
    part = folder / "images" / ("train" if "train" in ann else "val")
    images = part if part.is_dir() else folder / "images"
    return CocoDetection(images, folder / "annotations" / ann, num_workers=0)


@pytest.mark.parametrize(
    ("name", "ann", "images", "objects", "crowd", "empty"),
    [
        ("coco128", "instances_train.json", 128, 929, 10, 2),
        ("fruits_nuts", "instances_train.json", 13, 123, 0, 0),
        ("fruits_nuts", "instances_val.json", 5, 42, 0, 0),
        ("dsb2018_nuclei", "instances_val.json", 44, 1865, 0, 0),
        ("dsb2018_nuclei", "instances_val_poly.json", 44, 1865, 0, 0),
    ],
)
def test_nothing_is_lost_and_nothing_complained_about(
    caplog, name, ann, images, objects, crowd, empty
):
    dataset = load(name, ann)
    assert not caplog.records
    annotations = [a for r in dataset.records for a in r["annotations"]]
    assert dataset.num_samples == images
    assert sum(a["iscrowd"] for a in annotations) == crowd
    assert len(annotations) - crowd == objects
    assert sum(not r["annotations"] for r in dataset.records) == empty


def test_coco_has_its_classes_in_order():
    dataset = load("coco128", "instances_train.json")
    assert len(dataset.labels) == 80
    assert dataset.category_ids == sorted(dataset.category_ids)
    assert dataset.labels[0] == "person"
    assert dataset.category_ids[-1] == 90


def test_rle_and_polygons_of_the_same_nuclei_train_alike():
    """The same boxes, and training targets that differ only along the outline."""
    rle, poly = (load("dsb2018_nuclei", f"instances_val{part}.json") for part in ("", "_poly"))
    mapper = TrainMapper(Compose([RandomHorizontalFlip(), ResizeByShort(512, 700)]), "RGB", 3, 0)
    index = min(range(44), key=lambda k: len(rle.records[k]["annotations"]))
    a, b = (mapper(d.records[index], 1, index)["instances"] for d in (rle, poly))
    assert isinstance(a.gt_masks, BitMasks)
    assert len(a) == len(b) > 0
    np.testing.assert_allclose(a.gt_boxes.tensor, b.gt_boxes.tensor, atol=0.01)
    first, second = (i.gt_masks.crop_and_resize(i.gt_boxes.tensor, 28) for i in (a, b))
    overlap = (first & second).sum((1, 2)) / (first | second).sum((1, 2))
    assert overlap.min() > 0.8
    assert overlap.mean() > 0.93
