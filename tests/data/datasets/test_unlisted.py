"""Annotation files without a list: pictures and masks are those nearest of the same name."""

import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError, EasyDataDet, VOCDetection
from support.labelled_folders import (
    CLASSES,
    HEIGHT,
    WIDTH,
    voc_xml,
    write_easydata,
    write_pictures,
    write_voc,
    write_voc_pairs,
)


def files_of(dataset, folder):
    return [record["file_name"].removeprefix(f"{folder}/") for record in dataset.records]


def test_the_devkit_without_lists(tmp_path):
    """Masks are no pictures of their own, though called alike."""
    write_pictures(tmp_path / "JPEGImages", ["a.png", "b.png", "without xml.png"])
    for folder in ("Annotations", "SegmentationObject", "SegmentationClass"):
        (tmp_path / folder).mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:12, 2:8] = 1
    for name in "ab":
        xml = voc_xml(["dog"]).replace("polygon", "nothing")
        (tmp_path / f"Annotations/{name}.xml").write_text(xml)
        for folder in ("SegmentationObject", "SegmentationClass"):
            Image.fromarray(mask).save(tmp_path / folder / f"{name}.png")
    dataset = VOCDetection(tmp_path)
    assert dataset.labels == ["dog"]
    assert files_of(dataset, tmp_path) == ["JPEGImages/a.png", "JPEGImages/b.png"]
    assert [record["annotations"][0]["area"] for record in dataset.records] == [48, 48]


def test_the_nearest_of_several_pictures(tmp_path):
    write_voc_pairs(tmp_path, {"train/1.png": ["dog"], "valid/1.png": ["cat"]})
    dataset = VOCDetection(tmp_path)
    assert files_of(dataset, tmp_path) == ["train/1.png", "valid/1.png"]
    assert dataset.labels == ["cat", "dog"]
    write_pictures(tmp_path / "train", ["1.bmp"])
    with pytest.raises(
        DatasetError, match=r"several pictures of its name: train/1.xml: train/1.bmp, tr"
    ):
        VOCDetection(tmp_path)


def test_the_picture_that_the_xml_names(tmp_path):
    write_pictures(tmp_path / "images", ["photo.png"])
    (tmp_path / "first.xml").write_text(voc_xml(["dog"], "C:\\x\\photo.png"))
    assert files_of(VOCDetection(tmp_path), tmp_path) == ["images/photo.png"]
    (tmp_path / "images/photo.png").unlink()
    with pytest.raises(DatasetError, match=r"missing image: image 1 \(of 'first.xml'\)"):
        VOCDetection(tmp_path)


def test_a_list_without_labels_and_labels_without_a_list(tmp_path):
    write_voc(tmp_path)
    listed = VOCDetection(tmp_path, tmp_path / "train_list.txt")
    assert (listed.labels, listed.num_samples) == (CLASSES, 4)
    (tmp_path / "x_list.txt").write_text("x/1.png x/1.xml")
    assert VOCDetection(tmp_path, str(tmp_path / "x_list.txt")).labels == ["dog"]
    assert VOCDetection(tmp_path, label_list=[*CLASSES, "more"]).labels == [*CLASSES, "more"]


def test_easydata(tmp_path):
    write_easydata(tmp_path)
    dataset = EasyDataDet(tmp_path)
    assert dataset.labels == CLASSES
    assert files_of(dataset, tmp_path) == ["é.png", "x/1.png", "y/1.png", "y/a b.png"]


def test_nothing_there(tmp_path):
    with pytest.raises(DatasetError, match=r"has no .xml files"):
        VOCDetection(tmp_path)
    write_voc_pairs(tmp_path, {"a.png": []})
    with pytest.raises(DatasetError, match="there is no object to learn"):
        VOCDetection(tmp_path)


def test_files_that_cannot_be_read_are_named(tmp_path):
    write_voc_pairs(tmp_path)
    (tmp_path / "x/1.xml").write_text("<annotation")
    with pytest.raises(DatasetError, match=r"x/1.xml: not xml"):
        VOCDetection(tmp_path)


def test_boxes_only(tmp_path):
    write_voc_pairs(tmp_path)
    for path in tmp_path.rglob("*.xml"):
        path.write_text(path.read_text().replace("polygon", "nothing"))
    with pytest.raises(DatasetError, match=r"has boxes but no masks.*Mask R-CNN learns from masks"):
        VOCDetection(tmp_path)
