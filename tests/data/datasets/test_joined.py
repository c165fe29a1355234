"""Sets joined by class name."""

import pytest

from paddlex_maskrcnn.data.datasets import CocoDetection, Joined, join, open_dataset
from paddlex_maskrcnn.data.transforms import Compose, Normalize, RandomHorizontalFlip


def other(tiny_coco, tmp_path, rename):
    """The same pictures, classes named and numbered otherwise."""
    for category in tiny_coco.content["categories"]:
        category["id"], category["name"] = rename[category["name"]]
    for one in tiny_coco.content["annotations"]:
        one["category_id"] = {7: rename["bolt"][0], 3: rename["nut"][0]}[one["category_id"]]
    tiny_coco.ann_file = tmp_path / "other.json"
    tiny_coco.save()
    return tiny_coco.open()


def test_classes_meet_by_name(tiny_coco, tmp_path):
    first = tiny_coco.open()
    second = other(tiny_coco, tmp_path, {"bolt": (1, "screw"), "nut": (2, "bolt")})
    both = join([first, second])
    assert both.labels == ["nut", "bolt", "screw"]
    assert both.category_ids == [1, 2, 3]
    assert both.num_samples == 8
    classes = [[one["category_id"] for one in record["annotations"]] for record in both.records]
    assert classes == [[1, 0], [0, 1], [1, 1], [], [2, 1], [1, 2], [2, 2], []]
    assert [record["image_id"] for record in both.records] == list(range(1, 9))
    ids = [one["id"] for record in both.records for one in record["annotations"]]
    assert ids == list(range(1, 13))
    assert len(both.coco_gt.getAnnIds()) == 12
    assert first.records[0]["annotations"][0]["category_id"] == 1, "the parts stay as they are"


def test_ids_that_do_not_meet_are_kept(tiny_coco, tmp_path):
    first = tiny_coco.open()
    for image in tiny_coco.content["images"]:
        image["id"] += 100
    for one in tiny_coco.content["annotations"]:
        one["id"] += 100
        one["image_id"] += 100
    tiny_coco.ann_file = tmp_path / "other.json"
    tiny_coco.save()
    both = Joined([first, tiny_coco.open()])
    assert both.category_ids == first.category_ids
    assert [record["image_id"] for record in both.records] == [1, 2, 3, 4, 101, 102, 103, 104]
    assert both.records[4]["annotations"][0]["id"] == 111


def test_labels_put_classes_in_the_order_of_another_set(tiny_coco):
    both = Joined([tiny_coco.open()], labels=["washer", "bolt", "nut"])
    assert both.labels == ["washer", "bolt", "nut"]
    assert [one["category_id"] for one in both.records[0]["annotations"]] == [1, 2]
    for labels, fragment in ((["nut"], "bolt missing"), (["nut", "bolt", "nut"], "given twice")):
        with pytest.raises(ValueError, match=fragment):
            Joined([tiny_coco.open()], labels=labels)


def test_parts_as_an_experiment_file_has_them(tiny_coco):
    part = {"data_dir": str(tiny_coco.data_dir), "ann_file": str(tiny_coco.ann_file)}
    assert Joined([part, {"type": "CocoDetection", **part}]).num_samples == 8


def test_transforms_are_those_of_all_parts(tiny_coco):
    flip, other = Compose([RandomHorizontalFlip()]), Compose([Normalize()])
    parts = [tiny_coco.open(transforms=flip), tiny_coco.open(transforms=flip)]
    assert join(parts).transforms is flip
    parts[1].transforms = other
    with pytest.raises(ValueError, match="have different transforms; give transforms"):
        join(parts)
    assert join(parts, transforms=other).transforms is other


def test_negative_samples_and_num_samples_work_on_the_whole(tiny_coco):
    both = join([tiny_coco.open(), tiny_coco.open()])
    both.set_num_samples(6)
    both.add_negative_samples(tiny_coco.data_dir)
    assert (both.num_samples, len(both.coco_gt.getImgIds())) == (10, 10)


def test_metric_is_voc_only_when_all_are(tiny_coco):
    first, second = tiny_coco.open(), tiny_coco.open()
    first.metric = second.metric = "VOC"
    assert join([first, second]).metric == "VOC"
    second.metric = "COCO"
    assert join([first, second]).metric == "COCO"


@pytest.mark.parametrize(
    ("parts", "fragment"),
    [
        ([], r"Joined\.parts is \[\]; allowed: not empty"),
        (CocoDetection, r"Joined\.parts is <class .*>; allowed: a list"),
        (["a"], r"Joined\.parts\[0\] is 'a'; a data set"),
        ([{"type": "Coco"}], r"parts\[0\]\.type is 'Coco'; choose one of CocoDetection, "),
        ([{"folder": "x"}], r"(?s)parts\[0\]: .*CocoDetection\.folder is not a known key"),
    ],
)
def test_parts_that_are_none(parts, fragment):
    with pytest.raises(ValueError, match=fragment):
        Joined(parts)


def test_an_experiment_file_opens_parts_without_a_second_check(tiny_coco, monkeypatch):
    from paddlex_maskrcnn.config import check, signature
    from paddlex_maskrcnn.config.dataset_params import (
        CocoDetectionParams,
        DatasetChoice,
        JoinedParams,
    )

    pipeline = Compose([RandomHorizontalFlip()])

    def refuse(*_):
        raise AssertionError("checked again")

    monkeypatch.setattr(signature, "check_arguments", refuse)
    monkeypatch.setattr(check, "check_section", refuse)
    params = CocoDetectionParams(
        data_dir=str(tiny_coco.data_dir), ann_file=str(tiny_coco.ann_file), num_workers=0
    )
    part = DatasetChoice(type="CocoDetection", arguments=params)
    both = DatasetChoice(type="Joined", arguments=JoinedParams(parts=[part, part], shuffle=True))
    dataset = open_dataset(both, pipeline)
    assert (dataset.num_samples, dataset.shuffle, dataset.transforms) == (8, True, pipeline)
    assert both.arguments.transforms is None, "what was read of the file stays as it is"
