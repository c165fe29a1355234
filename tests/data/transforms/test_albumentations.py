"""Pipelines of albumentations in `Compose`: with a stand-in of its call convention, and with the real one."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.data.transforms import (
    Compose,
    Normalize,
    RandomHorizontalFlip,
    ResizeByShort,
)


class DualTransform:
    """As albumentations: keywords in, a dict of the same out, a random state of its own."""

    def set_random_state(self, generator, python):
        self.generator = generator


class ImageOnlyTransform(DualTransform):
    pass


class Flip(DualTransform):
    def __call__(self, image, masks=()):
        return {"image": image[:, ::-1], "masks": [mask[:, ::-1] for mask in masks]}


class CutLeftHalf(DualTransform):
    def __call__(self, image, masks=()):
        half = image.shape[1] // 2
        return {"image": image[:, half:], "masks": [mask[:, half:] for mask in masks]}


class Noise(ImageOnlyTransform):
    def __call__(self, image):
        return {
            "image": np.clip(image + self.generator.integers(0, 9, image.shape), 0, 255).astype(
                np.uint8
            )
        }


class RedToZero(ImageOnlyTransform):
    def __call__(self, image):
        assert image.dtype == np.uint8
        return {"image": image * np.array([0, 1, 1], np.uint8)}


class ToFloat(ImageOnlyTransform):
    def __call__(self, image):
        return {"image": image / np.float32(255)}


class Composition:
    """With `bbox_params` that drop boxes of less than 300 pixels."""

    def __init__(self, transforms, form=None, label_fields=None):
        self.transforms = transforms
        params = SimpleNamespace(format=form, label_fields=label_fields)
        self.processors = {"bboxes": SimpleNamespace(params=params)} if form else {}

    def __call__(self, image, masks=(), **more):
        for transform in self.transforms:
            data = transform(image=image, masks=masks)
            image, masks = data["image"], data["masks"]
        if "bboxes" not in more:
            return {"image": image, "masks": masks}
        stays = [self._area(box, image.shape) >= 300 for box in more["bboxes"]]
        kept = {
            name: [value for value, stay in zip(values, stays, strict=True) if stay]
            for name, values in more.items()
        }
        return {"image": image, "masks": masks, **kept}

    def _area(self, box, shape):
        form, (a, b, c, d) = self.processors["bboxes"].params.format, box[:4]
        if form == "yolo":
            return c * d * shape[0] * shape[1]
        if form == "coco":
            return c * d
        return (c - a) * (d - b) * (shape[0] * shape[1] if form == "albumentations" else 1)


@pytest.fixture(autouse=True)
def from_albumentations(monkeypatch):
    for kind in (
        DualTransform,
        ImageOnlyTransform,
        Flip,
        CutLeftHalf,
        Noise,
        RedToZero,
        ToFloat,
        Composition,
    ):
        monkeypatch.setattr(kind, "__module__", "albumentations.core")


def mapped(tiny_coco, *operators, image=1, image_format="RGB", epoch=0):
    data = tiny_coco.open(transforms=Compose([*operators, Normalize()]))
    mapper = TrainMapper(data.transforms, image_format, 3, seed=0, labels=data.labels)
    [record] = [one for one in data.records if one["image_id"] == image]
    return mapper(record, epoch, 0)


def same(one, other, boxes=1e-6):
    assert (one["image"] == other["image"]).all()
    for name in ("gt_classes", "gt_crowd"):
        if other["instances"].has(name):
            assert (one["instances"].get(name) == other["instances"].get(name)).all()
    found, expected = (each["instances"].gt_boxes.tensor.numpy() for each in (one, other))
    np.testing.assert_allclose(found, expected, atol=boxes)
    for mine, theirs in zip(one["instances"].gt_masks.polygons, other["instances"].gt_masks.polygons,
                            strict=True):  # fmt: skip
        areas = [sum(abs(area(part)) for part in parts) for parts in (mine, theirs)]
        assert areas[0] == pytest.approx(areas[1], rel=0.1)


def area(polygon):
    x, y = polygon[::2], polygon[1::2]
    return 0.5 * (np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


@pytest.mark.parametrize("image", [1, 2, 3, 4])
def test_a_flip_of_theirs_is_a_flip_of_ours(tiny_coco, image):
    """Polygons, run lengths, a crowd region, and nothing at all."""
    found = mapped(tiny_coco, Flip(), image=image)
    same(found, mapped(tiny_coco, RandomHorizontalFlip(1.0), image=image), boxes=1)


def test_what_leaves_the_image_is_gone(tiny_coco):
    """Of image 1 the bolt ends at column 24, the nut reaches from 30 to 60; 64 wide."""
    found = mapped(tiny_coco, CutLeftHalf())
    assert found["image"].shape[1:] == (48, 32)
    [box] = found["instances"].gt_boxes.tensor.tolist()
    assert box == pytest.approx([0, 10, 28, 44], abs=1)


def test_what_changes_colours_leaves_the_objects_as_they_are(tiny_coco):
    plain = mapped(tiny_coco)
    for form, red in (("RGB", 0), ("BGR", 2)):
        found = mapped(tiny_coco, RedToZero(), image_format=form)
        expected = mapped(tiny_coco, image_format=form)["image"].clone()
        expected[red] = 0
        assert (found["image"] == expected).all()
        for mine, theirs in zip(found["instances"].gt_masks.polygons,
                                plain["instances"].gt_masks.polygons, strict=True):  # fmt: skip
            np.testing.assert_array_equal(np.concatenate(mine), np.concatenate(theirs))


def test_what_is_not_moved_keeps_its_outline(tiny_coco):
    found, plain = mapped(tiny_coco, Composition([Flip(), Flip()])), mapped(tiny_coco)
    for mine, theirs in zip(found["instances"].gt_masks.polygons,
                            plain["instances"].gt_masks.polygons, strict=True):  # fmt: skip
        np.testing.assert_allclose(np.concatenate(mine), np.concatenate(theirs))


@pytest.mark.parametrize("form", ["coco", "pascal_voc", "albumentations", "yolo"])
@pytest.mark.parametrize("fields", [None, ["labels"], ["ids", "labels"]])
def test_box_params_decide_which_objects_stay(tiny_coco, form, fields):
    """Image 2: a triangle of 34 by 24, and a square of 20 by 24."""
    tiny_coco.annotation(22)["bbox"] = [10, 36, 20, 10]  # taken from the mask: 20 by 24
    found = mapped(tiny_coco, Composition([Flip()], form, fields), image=2)
    assert len(found["instances"]) == 2
    small = mapped(tiny_coco, ResizeByShort(30, 40), Composition([Flip()], form, fields), image=2)
    assert len(small["instances"]) == 1


def test_a_sample_depends_on_seed_epoch_and_index_alone(tiny_coco):
    first, again, later = (mapped(tiny_coco, Noise(), epoch=epoch)["image"] for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != later).any()


def test_prediction_and_evaluation_go_without(tiny_coco, caplog):
    pipeline = Compose([Flip(), Normalize(), ResizeByShort(64)])
    assert (
        pipeline.deterministic().to_config()
        == Compose([Normalize(), ResizeByShort(64)]).to_config()
    )
    with caplog.at_level(logging.WARNING):
        TestMapper(pipeline, "RGB", 3)
        TestMapper(pipeline, "RGB", 3)
    assert caplog.text.count("leave the albumentations pipeline out") <= 1
    assert "Flip" in str(pipeline.to_config()[0]["Albumentations"]["pipeline"])
    assert " at 0x" not in str(pipeline.to_config())


def test_pixels_that_the_network_cannot_take(tiny_coco):
    with pytest.raises(
        ValueError, match=r"made float32 .* leave Normalize, ToFloat and ToTensorV2 out"
    ):
        mapped(tiny_coco, ToFloat())
    values = Compose([Flip(), Normalize(max_val=[65535.0] * 3)])
    with pytest.raises(ValueError, match="albumentations takes pixels of 0 to 255"):
        TrainMapper(values, "RGB", 3, seed=0)


def test_imgaug_is_refused_and_nothing_is_imported(monkeypatch):
    monkeypatch.setattr(Noise, "__module__", "imgaug.augmenters.arithmetic")
    with pytest.raises(ValueError, match="Noise of imgaug, which PaddleX applied to pixels"):
        Compose([Noise()])
    with pytest.raises(ValueError, match="operators are needed"):
        Compose([SimpleNamespace()])
    assert "imgaug" not in sys.modules


@pytest.mark.parametrize("params", [None, "coco", "yolo"])
def test_the_real_one(tiny_coco, params):
    library = pytest.importorskip("albumentations")
    boxes = library.BboxParams(params, label_fields=["labels"]) if params else None
    flip = library.Compose([library.HorizontalFlip(p=1.0)], bbox_params=boxes)
    for image in (1, 2, 3, 4):
        expected = mapped(tiny_coco, RandomHorizontalFlip(1.0), image=image)
        same(mapped(tiny_coco, flip, image=image), expected, boxes=1)
    random = library.Compose(
        [library.RandomBrightnessContrast(p=1.0), library.Affine(rotate=(-20, 20), p=1.0)]
    )
    first, again, later = (mapped(tiny_coco, random, epoch=epoch)["image"] for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != later).any()
    alone = mapped(tiny_coco, library.VerticalFlip(p=1.0))
    assert len(alone["instances"]) == 2
