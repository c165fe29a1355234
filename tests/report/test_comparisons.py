"""Truth and prediction lie on the same pixels, whichever the annotations were made for; the worst first."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import CocoDetection
from paddlex_maskrcnn.data.images import as_image, read_image
from paddlex_maskrcnn.report.comparisons import worst_images, write_comparisons

LEFT, TOP, RIGHT, BOTTOM = 10, 8, 40, 20  # a red box in the stored pixels, 48 high and 64 wide


def photograph(folder, annotated):
    """A file that is stored lying on its side, annotated as it is stored or upright."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[TOP:BOTTOM, LEFT:RIGHT, 0] = 255
    exif = Image.Exif()
    exif[274] = 6  # turn clockwise to look at it
    Image.fromarray(pixels).save(folder / "a.png", exif=exif)
    corners = [LEFT, TOP, RIGHT, TOP, RIGHT, BOTTOM, LEFT, BOTTOM]
    if annotated == "upright":
        corners = [v for x, y in zip(corners[::2], corners[1::2], strict=True) for v in (48 - y, x)]
    height, width = (48, 64) if annotated == "stored" else (64, 48)
    one = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [corners]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}],
        "annotations": [one],
        "categories": [{"id": 1, "name": "box"}],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return CocoDetection(folder, folder / "a.json", num_workers=0)


def find_red(source):
    """A model that is always right about the pixels it is given."""
    pixels = (
        as_image(source, "BGR") if isinstance(source, np.ndarray) else read_image(source, "BGR")
    )
    mask = (pixels[:, :, 2] > 128).astype(np.uint8)
    box = list(cv2.boundingRect(mask))
    return [{"bbox": box, "mask": mask, "category": "box", "category_id": 1, "score": 0.9}]


@pytest.mark.parametrize("annotated", ["upright", "stored"])
def test_predictions_lie_where_the_annotations_lie(tmp_path, annotated):
    (path,) = write_comparisons(find_red, photograph(tmp_path, annotated), tmp_path / "out", 3, 0.5)
    picture = cv2.imread(str(path))
    half = (picture.shape[1] - 8) // 2
    bar = picture.shape[0] - round(half * (48 / 64 if annotated == "stored" else 64 / 48))
    left, right = picture[bar:, :half], picture[bar:, half + 8 :]
    is_tinted = [(np.ptp(side.astype(int), axis=2) > 40) for side in (left, right)]
    assert is_tinted[0].mean() > 0.08
    both, either = is_tinted[0] & is_tinted[1], is_tinted[0] | is_tinted[1]
    assert both.sum() / either.sum() > 0.8  # the score is written on one side only


def test_images_without_objects_and_low_scores_are_left_out(tiny_coco, tmp_path):
    def nothing_sure(source):
        return [{**find_red(source)[0], "score": 0.2}]

    written = write_comparisons(nothing_sure, tiny_coco.open(), tmp_path / "out", 10, 0.5)
    assert [path.name for path in written] == ["1.png", "2.png", "3.png"]


def test_mistakes_are_named_in_the_pictures(analyses, read_drawn, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "paddlex_maskrcnn.report.comparisons.draw_objects",
        lambda image, objects: drawn.append(objects) or image,
    )
    found = worst_images(analyses[0], read_drawn, 4)
    assert [one.score for one in found] == analyses[0].images[:4]
    for k, one in enumerate(found):
        annotated, detected = drawn[2 * k], drawn[2 * k + 1]
        assert sum(o["category"].startswith("missed ") for o in annotated) == one.score.missed
        assert sum(o["category"].startswith("false ") for o in detected) == one.score.false
        assert all(o["score"] >= analyses[0].threshold for o in detected)
        for o in annotated + detected:
            assert o["mask"].shape == (343, 480)


def test_images_that_cannot_be_read_are_left_out(analyses, read_drawn, caplog):
    def read(image_id):
        if image_id == analyses[0].images[0].image_id:
            raise ValueError("broken")
        return read_drawn(image_id)

    found = worst_images(analyses[0], read, 2)
    assert [one.score for one in found] == analyses[0].images[1:3]
    assert "broken" in caplog.text
