import json
import os
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.data.datasets import DatasetError, DrawnShapes
from paddlex_maskrcnn.data.datasets.drawn import SHAPES, draw_scene

SMALL = {"num_images": 6, "image_size": [64, 80], "num_workers": 0}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_same_arguments_draw_the_same_bytes(tmp_path):
    DrawnShapes(tmp_path / "a", **SMALL)
    DrawnShapes(tmp_path / "b", **SMALL)
    first = contents(tmp_path / "a")
    assert len(first) == 7
    assert first == contents(tmp_path / "b")


def test_splits_and_seeds_differ(tmp_path):
    for seed, split in [(0, "train"), (0, "val"), (1, "val")]:
        DrawnShapes(tmp_path / str(seed), split, seed=seed, **SMALL)
    pictures = [
        (tmp_path / part / "images" / "00000.jpg").read_bytes()
        for part in ("0/train", "0/val", "1/val")
    ]
    assert len(set(pictures)) == 3


def test_nothing_is_drawn_twice_and_other_arguments_draw_anew(tmp_path):
    DrawnShapes(tmp_path, **SMALL)
    marker = tmp_path / "train" / "images" / "00000.jpg"
    os.utime(marker, ns=(1, 1))
    DrawnShapes(tmp_path, **SMALL)
    assert marker.stat().st_mtime_ns == 1
    more = DrawnShapes(tmp_path, **{**SMALL, "num_images": 8})
    assert more.num_samples == 8
    assert marker.stat().st_mtime_ns != 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["train"]  # no leftovers


def test_more_images_leave_the_first_ones_as_they_are(tmp_path):
    DrawnShapes(tmp_path / "a", **SMALL)
    DrawnShapes(tmp_path / "b", **{**SMALL, "num_images": 8})
    few, many = (contents(tmp_path / part / "train" / "images") for part in "ab")
    assert few.items() <= many.items()


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    from paddlex_maskrcnn.data.datasets import drawn

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(drawn, "draw_scene", interrupt)
    with pytest.raises(KeyboardInterrupt):
        DrawnShapes(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once_end_with_one_set(tmp_path, monkeypatch):
    """The slower of two finds the folder there when it wants to put its own in place."""
    from paddlex_maskrcnn.data.datasets import drawn

    DrawnShapes(tmp_path / "other", **SMALL)
    draw = drawn._draw_set

    def draw_while_another_finishes(folder, recipe):
        draw(folder, recipe)
        if not (tmp_path / "here" / "train").exists():
            shutil.copytree(tmp_path / "other" / "train", tmp_path / "here" / "train")

    monkeypatch.setattr(drawn, "_draw_set", draw_while_another_finishes)
    DrawnShapes(tmp_path / "here", **SMALL)
    assert contents(tmp_path / "here") == contents(tmp_path / "other")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match="is not a drawn data set; choose another data_dir"):
        DrawnShapes(tmp_path, **SMALL)
    assert contents(tmp_path) == {
        (tmp_path / "train/thesis.txt").relative_to(tmp_path): b"years of work"
    }


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="DrawnShapes: cannot write to"):
        DrawnShapes(tmp_path / "file", **SMALL)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"split": "../train"}, r"DrawnShapes\.split is '../train'; allowed: a plain name"),
        ({"num_images": 0}, r"DrawnShapes\.num_images is 0; allowed: >= 1"),
        ({"seed": -1}, r"DrawnShapes\.seed is -1; allowed: >= 0"),
        ({"image_size": 8}, r"DrawnShapes\.image_size is 8; allowed: >= 64"),
        ({"image_size": [128, 96]}, r"image_size is \[128, 96\]; allowed: \[shortest, longest\]"),
        ({"image_size": [64, 96, 128]}, r"image_size is \[64, 96, 128\]; allowed: \["),
        ({"num_workers": -1}, r"DrawnShapes\.num_workers is -1; allowed: >= 0"),
    ],
)
def test_mistakes(tmp_path, arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        DrawnShapes(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_default_sizes_of_the_parts():
    from paddlex_maskrcnn.config.dataset_params import DrawnShapesParams
    from paddlex_maskrcnn.data.datasets.drawn import _recipe

    def recipe(split, **arguments):
        return _recipe(DrawnShapesParams(data_dir="", split=split, **arguments))

    assert recipe("train")["num_images"] == 160
    assert recipe("val")["num_images"] == 40
    assert recipe("val", image_size=96)["image_size"] == [96, 96]


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    return DrawnShapes(tmp_path_factory.mktemp("forty"), "val", num_workers=0)


def test_what_is_in_the_set(forty):
    """Every class, covered and whole objects, empty images, landscape and portrait."""
    assert forty.labels == list(SHAPES)
    objects = [a for r in forty.records for a in r["annotations"]]
    classes = Counter(a["category_id"] for a in objects)
    assert min(classes.values()) > 15
    forms = Counter(type(a["segmentation"]) for a in objects)
    assert forms[list] > forms[dict] > 10
    assert sum(not r["annotations"] for r in forty.records) == 3
    wide = sum(r["width"] > r["height"] for r in forty.records)
    assert 10 < wide < 30
    sides = [max(a["bbox"][2:]) for a in objects]
    assert np.percentile(sides, 5) > 22
    assert np.percentile(sides, 95) < 85


def test_masks_of_one_image_never_overlap(forty):
    coco = forty.coco_gt
    for image in coco.getImgIds():
        masks = [coco.annToMask(a) for a in coco.loadAnns(coco.getAnnIds(image))]
        if masks:
            assert np.sum(masks, axis=0).max() == 1


def test_boxes_fit_their_masks(forty):
    for annotation in forty.coco_gt.dataset["annotations"]:
        ys, xs = np.nonzero(forty.coco_gt.annToMask(annotation))
        x, y, w, h = annotation["bbox"]
        tight = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert np.abs(tight - [x, y, x + w, y + h]).max() <= 1.5
        assert annotation["area"] == len(xs)


def test_picture_and_mask_agree_to_the_pixel():
    """Repainting an object through its mask is what changed between two drawings."""
    scenes = [draw_scene(np.random.default_rng(5), 1, (96, 96)) for _ in range(2)]
    np.testing.assert_array_equal(scenes[0][0], scenes[1][0])
    image, objects = scenes[0]
    top = objects[-1]
    inside = cv2.erode(top.visible, np.ones((3, 3), np.uint8)) > 0
    ring = (cv2.dilate(top.visible, np.ones((7, 7), np.uint8)) > 0) & ~(
        cv2.dilate(top.visible, np.ones((3, 3), np.uint8)) > 0
    )
    apart = image[inside].mean(axis=0) - image[ring].mean(axis=0)
    assert np.abs(apart).max() > 20


def test_the_json_says_what_it_was_drawn_with(tmp_path):
    DrawnShapes(tmp_path, seed=3, **SMALL)
    info = json.loads((tmp_path / "train" / "instances_train.json").read_text())["info"]
    assert info["drawn_with"]["seed"] == 3
