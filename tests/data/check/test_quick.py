"""What training sees of its data at the start: the same findings as `check`, in next to no time."""

import copy
import logging

import pytest

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.data.check.inspection import inspect, open_part
from paddlex_maskrcnn.data.check.quick import as_line, quick_findings
from paddlex_maskrcnn.data.datasets.records import PackedRecords

FLAWS = ("two-corners", "outside", "empty-class", "root-class", "listed-twice", "unlearned-class")


def two_corners(content):
    """The object that begins at (2, 2) is hardly changed: nobody could tell."""
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x, y, x + width, y + height]


def outside(content):
    """Both objects of the first image, which is 64 wide, moved to the right until 4 pixels are left."""
    for annotation in content["annotations"][:2]:
        xs = [x for part in annotation["segmentation"] for x in part[::2]]
        for part in annotation["segmentation"]:
            part[::2] = [x + 60 - min(xs) for x in part[::2]]
        annotation["bbox"][0] = 60


def empty_class(content):
    content["categories"].append({"id": 90, "name": "washer"})


def root_class(content):
    """As Roboflow's, but not the category 0, which the reader takes for no class itself."""
    for category in content["categories"]:
        category["supercategory"] = "parts"
    content["categories"].insert(0, {"id": 99, "name": "parts", "supercategory": "none"})


def listed_twice(content):
    content["images"].append({**content["images"][0], "id": 77})


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (two_corners, "two-corners", "4 x box that is two corners"),
        (outside, "outside", "2 x object that is mostly outside of its image"),
        (empty_class, "empty-class", "class 'washer'"),
        (root_class, "root-class", "class 'parts'"),
        (listed_twice, "listed-twice", "images 1, 77 are all"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_each_flaw_is_found_as_check_finds_it(tiny_coco, plan, spoil, kind, words):
    spoil(tiny_coco.content)
    tiny_coco.save()
    data = tiny_coco.open()
    finding, *others = [one for one in quick_findings({"train": data}) if one.kind in FLAWS]
    assert not others
    assert finding.kind == kind
    assert words in as_line(finding, "paddlex-maskrcnn check")
    by_check = inspect([open_part("train", tiny_coco.open)], plan, num_workers=0).findings
    same = next(one for one in by_check if one.kind == kind)
    assert (same.headline(), same.level) == (finding.headline(), finding.level)
    assert [one.text for one in same.locations] == [one.text for one in finding.locations]
    assert {one.kind for one in by_check} & {*FLAWS} == {kind}


def test_good_data_is_not_spoken_of(tiny_coco):
    assert quick_findings({"train": tiny_coco.open(), "eval": tiny_coco.open()}) == []


def test_a_class_that_only_held_out_data_has(tiny_coco, tmp_path):
    held_out = tiny_coco.open()
    content = copy.deepcopy(tiny_coco.content)
    nut = next(one["id"] for one in content["categories"] if one["name"] == "nut")
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != nut]
    tiny_coco.content = content
    tiny_coco.save()
    findings = quick_findings({"train": tiny_coco.open(), "eval": held_out})
    assert [one.kind for one in findings] == ["unlearned-class"]


class Many:
    """A data set of images with the same box each, in records alone; the last one is listed twice."""

    name, labels, categories = "many", ["a"], [{"id": 1, "name": "a", "supercategory": "a"}]

    def __init__(self, count):
        mask = [[10, 10, 30, 10, 30, 30, 10, 30]]
        entry = {
            "bbox": [10, 10, 30, 30],
            "segmentation": mask,
            "category_id": 0,
            "iscrowd": 0,
            "id": 1,
        }
        files = [*(f"{k}.png" for k in range(count - 1)), f"{count - 2}.png"]
        self.records = PackedRecords(
            {
                "file_name": file,
                "height": 64,
                "width": 64,
                "image_id": k,
                "annotations": [entry] * 20,
            }
            for k, file in enumerate(files)
        )
        self.sizes, self.num_samples = self.records.sizes, count


def test_of_many_images_some_are_looked_at():
    corners, twice = quick_findings({"train": Many(500)})
    assert (twice.kind, corners.kind) == ("listed-twice", "two-corners")
    assert [one.text for one in twice.locations] == ["images 498, 499 are all '498.png'"]
    assert len(corners.locations) == 1000
    assert corners.headline().endswith("[x1, y1, x2, y2], in 50 of 500 images (100.0%)")


def test_training_warns_once_for_each(tiny_coco, caplog):
    from paddlex_maskrcnn.config.check import check_arguments
    from paddlex_maskrcnn.config.schema import TrainParams
    from paddlex_maskrcnn.engine.setup import set_up
    from support.tiny_training import FAST, SMALL, TRAIN

    two_corners(tiny_coco.content)
    empty_class(tiny_coco.content)
    tiny_coco.save()
    data = tiny_coco.open(transforms=TRAIN)
    params = check_arguments(TrainParams, {**FAST, "num_epochs": 1, "train_dataset": data})
    with caplog.at_level(logging.WARNING, logger="paddlex_maskrcnn.engine.setup"):
        set_up(
            ModelParams(num_classes=None, **SMALL),
            params,
            data,
            None,
            writes=False,
            check_command="see --this",
        )
    lines = [one.getMessage() for one in caplog.records if one.name.endswith("engine.setup")]
    assert [line.partition(":")[0] for line in lines] == ["data (train)", "data"]
    assert all(line.endswith("More: see --this") for line in lines)
