import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth, mask_areas


def test_columns_are_in_order_of_image_and_class(scene):
    truth = Truth(scene.truth)
    assert truth.image_ids.tolist() == sorted(one["id"] for one in scene.truth["images"])
    assert truth.category_ids.tolist() == [3, 7, 11, 20]
    assert truth.names == ["class 3", "class 7", "class 11", "class 20"]
    assert (np.diff(truth.images) >= 0).all()
    by_id = {one["id"]: one for one in scene.truth["annotations"]}
    for i, number in enumerate(truth.annotation_ids.tolist()):
        one = by_id[number]
        assert truth.image_ids[truth.images[i]] == one["image_id"]
        assert truth.category_ids[truth.classes[i]] == one["category_id"]
        assert truth.crowd[i] == one["iscrowd"]
        assert truth.areas[i] == one["area"]
        assert truth.boxes[i].tolist() == one["bbox"]


def test_from_pycocotools(tiny_coco):
    """Polygons, uncompressed masks and a crowd region of a data set."""
    dataset = tiny_coco.open()
    truth = Truth.of(dataset.coco_gt)
    assert truth.num_objects.tolist() == [2, 3]
    assert Truth.of(truth) is truth
    by_id = {one["id"]: i for i, one in enumerate(dataset.coco_gt.dataset["annotations"])}
    assert isinstance(dataset.coco_gt, COCO)
    for i, number in enumerate(truth.annotation_ids.tolist()):
        one = dataset.coco_gt.dataset["annotations"][by_id[number]]
        np.testing.assert_array_equal(
            coco_mask.decode(truth.masks[i]), dataset.coco_gt.annToMask(one)
        )


def test_missing_areas_are_measured(scene):
    expected = Truth(scene.truth).areas
    for one in scene.truth["annotations"][::2]:
        del one["area"]
    np.testing.assert_array_equal(Truth(scene.truth).areas, expected)


def test_areas_of_many_masks(scene):
    """pycocotools 2.0.11 fails on more than 255 at once."""
    masks = [one["segmentation"] for one in scene.results]
    many = masks * (300 // len(masks) + 1)
    assert len(many) > 255
    np.testing.assert_array_equal(mask_areas(many), [coco_mask.decode(one).sum() for one in many])


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_results_of_other_data(scene, key):
    truth = Truth(scene.truth)
    truth.check(ResultRows(scene.results))
    scene.results[0][key] = 10_000
    with pytest.raises(ValueError, match=f"a result has {key} 10000, which the annotations do not"):
        truth.check(ResultRows(scene.results))
    scene.truth["annotations"][0][key] = -1
    with pytest.raises(ValueError, match=f"an annotation has {key} -1"):
        Truth(scene.truth)


def test_nothing_at_all():
    truth = Truth({"images": [], "categories": [], "annotations": []})
    assert len(truth.areas) == 0
    assert truth.boxes.shape == (0, 4)
    assert truth.num_objects.tolist() == []
    with pytest.raises(ValueError, match="a result has image_id 1"):
        truth.check(
            ResultRows([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}])
        )
