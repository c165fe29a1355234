"""The photographs of ../shared load without a false alarm, and its two forms of masks agree."""

from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from detectron2.structures import PolygonMasks

from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.masks import polygons_of_rle
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


def both_forms(part):
    return [load("dsb2018_nuclei", f"instances_{part}{form}.json") for form in ("", "_poly")]


def overlap(first, second):
    """IoU of (N, H, W) masks, one by one."""
    return (first & second).sum((1, 2)) / (first | second).sum((1, 2))


def targets_of(records, short_size=256):
    """Boxes of all objects and their masks as the mask head takes them, (N, 28, 28)."""
    transforms = Compose([RandomHorizontalFlip(), ResizeByShort(short_size, 700)])
    mapper = TrainMapper(transforms, "RGB", 3, 0)
    found = [mapper(record, 1, k)["instances"] for k, record in enumerate(records)]
    boxes = torch.cat([one.gt_boxes.tensor for one in found])
    masks = [one.gt_masks.crop_and_resize(one.gt_boxes.tensor, 28) for one in found]
    return boxes, torch.cat(masks)


def with_masks(records, changed):
    """The records with masks that a function makes of the old ones."""
    return [
        {
            **record,
            "annotations": [
                {**one, "segmentation": changed(one["segmentation"], record)}
                for one in record["annotations"]
            ],
        }
        for record in records
    ]


def outline_of(rle, record):
    return [points.reshape(-1).tolist() for points in polygons_of_rle(rle)]


def pixels_of(polygons, record):
    parts = mask_util.frPyObjects(polygons, record["height"], record["width"])
    return mask_util.merge(parts)


def test_rle_and_polygons_of_the_same_nuclei_give_the_same_targets():
    """Bit for bit where both describe the same shape.

    Where they do not (these polygons were traced 0.12 pixels inside the edges of the pixels), the
    boxes are equal, and the masks as much as the two shapes are.
    """
    rle, poly = (list(one.records)[:14] for one in both_forms("val"))
    boxes, masks = targets_of(rle)
    assert len(boxes) == sum(len(record["annotations"]) for record in rle) > 300

    same_boxes, same = targets_of(with_masks(rle, outline_of))
    assert torch.equal(boxes, same_boxes)
    assert torch.equal(masks, same)

    redrawn_boxes, redrawn = targets_of(with_masks(poly, pixels_of))
    assert torch.equal(boxes, redrawn_boxes)
    assert (masks == redrawn).all((1, 2)).sum() >= len(masks) - 1  # one of all 1865 differs

    traced_boxes, traced = targets_of(poly)
    assert torch.equal(boxes, traced_boxes)
    found = overlap(masks, traced)
    assert found.mean() > 0.975
    assert found.min() > 0.85


def test_rle_turned_into_polygons_gives_the_same_targets_within_rounding():
    """Where the 28x28 targets differ, the outline is less than a pixel of the photograph away."""
    rle, poly = both_forms("val")
    for a, b in zip(rle.records[:6], poly.records[:6], strict=True):
        boxes = [one["bbox"] for one in a["annotations"]]
        assert boxes == [one["bbox"] for one in b["annotations"]]
        xyxy = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes])
        outlines = [polygons_of_rle(one["segmentation"]) for one in a["annotations"]]
        exact = PolygonMasks([[points.reshape(-1) for points in parts] for parts in outlines])
        drawn = PolygonMasks([one["segmentation"] for one in b["annotations"]])
        first, second = (masks.crop_and_resize(xyxy, 28) for masks in (exact, drawn))
        assert overlap(first, second).mean() > 0.96
        for k, (one, other) in enumerate(zip(first.numpy(), second.numpy(), strict=True)):
            cells = np.ceil(28 / np.array(boxes[k][:1:-1])).astype(int)  # of a pixel: down, across
            kernel = np.ones(2 * cells + 1, np.uint8)
            near = cv2.dilate(one.view(np.uint8), kernel) & cv2.dilate(
                (~one).view(np.uint8), kernel
            )
            border = np.abs(np.arange(28) - 13.5) > 13.5 - cells.max()  # the target ends there
            near |= border[:, None] | border[None]
            assert not ((one ^ other) & ~near.view(bool)).any()
