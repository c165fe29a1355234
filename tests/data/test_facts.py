"""What `auto` depends on in the data."""

import json

import numpy as np
import pytest

from paddlex_maskrcnn.data import facts
from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.facts import data_facts


@pytest.fixture
def coco(tmp_path):
    """coco([(width, height, [(side, is_crowd), ...]), ...]): images with square objects."""
    import cv2

    def coco(images):
        content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
        for k, (width, height, objects) in enumerate(images, 1):
            cv2.imwrite(str(tmp_path / f"{k}.png"), np.zeros((height, width, 3), np.uint8))
            content["images"].append(
                {"id": k, "file_name": f"{k}.png", "width": width, "height": height}
            )
            for side, crowd in objects:
                content["annotations"].append({
                    "id": len(content["annotations"]) + 1, "image_id": k, "category_id": 1,
                    "bbox": [1, 1, side, side], "area": side * side, "iscrowd": crowd,
                    "segmentation": [[1, 1, 1 + side, 1, 1 + side, 1 + side, 1, 1 + side]],
                })  # fmt: skip
        path = tmp_path / "coco.json"
        path.write_text(json.dumps(content))
        return CocoDetection(str(tmp_path), str(path))

    return coco


def test_sizes_are_shares_of_the_short_side(coco):
    dataset = coco([
        (200, 100, [(10, 0), (20, 0)]), (100, 400, [(50, 0)]), (300, 200, []), (40, 40, []),
    ])  # fmt: skip
    seen = data_facts(dataset)
    assert seen.num_images == 4
    assert seen.short_side == 100
    assert seen.small_object == pytest.approx(np.percentile([0.1, 0.2, 0.5], 10))
    assert seen.object_side == pytest.approx(12)
    assert seen.most_objects == 2


def test_crowd_regions_are_no_objects(coco):
    seen = data_facts(coco([(100, 100, [(50, 1), (60, 1)]), (100, 100, [(20, 0)])]))
    assert seen.most_objects == 1
    assert seen.small_object == pytest.approx(0.2)


def test_images_without_objects(coco):
    seen = data_facts(coco([(100, 100, [])]))
    assert (seen.num_images, seen.small_object, seen.most_objects) == (1, None, 0)
    assert seen.object_side is None


def test_of_many_objects_some_are_looked_at(coco, monkeypatch):
    dataset = coco([(100, 100, [(10, 0)] * 3)] * 40)
    monkeypatch.setattr(facts, "_OBJECTS", 12)
    looked_at = []
    read = type(dataset.records).__getitem__

    def noted(self, index):
        looked_at.append(index)
        return read(self, index)

    monkeypatch.setattr(type(dataset.records), "__getitem__", noted)
    seen = data_facts(dataset)
    assert sum(isinstance(index, int) for index in looked_at) == 4
    assert seen.small_object == pytest.approx(0.1)
