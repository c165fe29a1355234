"""Annotations of photographs with an EXIF orientation lie on their objects, or there is a word about it."""

import json

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from paddlex_maskrcnn.data.convert.writers import as_coco
from paddlex_maskrcnn.data.datasets import CocoDetection, YoloSegmentation
from paddlex_maskrcnn.data.datasets.problems import DatasetError
from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.report.pictures import read_viewable

HEIGHT, WIDTH = 128, 96  # upright
BOX = (10, 20, 50, 60)  # x1, y1, x2, y2 of the object, upright
LOW = (10, 104, 50, 124)  # an object that lies below the stored frame
TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def photograph(folder, orientation=6, box=BOX, size=(HEIGHT, WIDTH)):
    """p.png: an object in red on black, stored turned."""
    upright = np.zeros((*size, 3), np.uint8)
    upright[box[1] : box[3], box[0] : box[2], 0] = 255
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(upright).transpose(TURNS[orientation]).save(folder / "p.png", exif=exif)


def outline(x1, y1, x2, y2):
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def turned(box, orientation, size=(HEIGHT, WIDTH)):
    """The box in the stored pixels."""
    x1, y1, x2, y2 = box
    height, width = size
    if orientation == 6:  # stored x is the upright y
        return y1, width - x2, y2, width - x1
    return (width - x2, height - y2, width - x1, height - y1) if orientation == 3 else None


def coco(folder, points, size, **arguments):
    """A data set of the photograph, said to be of size (height, width)."""
    xs, ys = points[0::2], points[1::2]
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    content = {
        "images": [{"id": 1, "file_name": "p.png", "height": size[0], "width": size[1]}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {
                "id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 1600, "iscrowd": 0,
                "segmentation": [points],
            }
        ],
    }  # fmt: skip
    (folder / "a.json").write_text(json.dumps(content))
    return CocoDetection(str(folder), str(folder / "a.json"), **arguments)


def overlap(dataset):
    """IoU of mask and object in what training, evaluation and pages see; the worst."""
    record = dataset.records[0]
    size = record["height"], record["width"]
    polygons = record["annotations"][0]["segmentation"]
    mask = mask_util.decode(mask_util.merge(mask_util.frPyObjects(polygons, *size))).astype(bool)
    plain = transforms.Compose([transforms.Normalize()])
    ious = []
    for image in (
        TrainMapper(plain, "RGB", 3, 0)(record, 0, 0)["image"][0].numpy(),
        TestMapper(plain, "RGB", 3)(record)["image"][0].numpy(),
        read_viewable(record["file_name"], size, record.get("as_stored", False))[:, :, 2],
    ):
        assert image.shape == size
        thing = image > 120
        ious.append((mask & thing).sum() / (mask | thing).sum())
    return min(ious)


def of_label_studio(box):
    """Fractions of the upright picture times the stored size."""
    x1, y1, x2, y2 = box
    across, down = HEIGHT / WIDTH, WIDTH / HEIGHT
    return outline(x1 * across, y1 * down, x2 * across, y2 * down)


def test_points_of_the_upright_picture_beside_the_stored_size(tmp_path, caplog):
    photograph(tmp_path)
    points, stored = of_label_studio(BOX), (WIDTH, HEIGHT)
    assert overlap(coco(tmp_path, points, stored)) < 0.5
    assert "1 x photograph with an EXIF orientation" in caplog.text
    assert "exif: upright" in caplog.text
    caplog.clear()
    assert overlap(coco(tmp_path, points, stored, exif="upright")) > 0.95
    assert not caplog.text


@pytest.mark.parametrize("exif", ["auto", "stored"])
def test_stored_pixels(tmp_path, exif, caplog):
    photograph(tmp_path)
    points = outline(*turned(BOX, 6))
    assert overlap(coco(tmp_path, points, (WIDTH, HEIGHT), exif=exif)) > 0.95
    assert bool(caplog.text) == (exif == "auto")


@pytest.mark.parametrize("exif", ["auto", "upright"])
def test_upright_size_needs_no_word(tmp_path, exif, caplog):
    photograph(tmp_path)
    assert overlap(coco(tmp_path, outline(*BOX), (HEIGHT, WIDTH), exif=exif)) > 0.95
    assert not caplog.text


@pytest.mark.parametrize("exif", ["auto", "upright"])
def test_points_outside_of_the_stored_picture_are_upright(tmp_path, exif, caplog):
    photograph(tmp_path, box=LOW)
    assert overlap(coco(tmp_path, outline(*LOW), (WIDTH, HEIGHT), exif=exif)) > 0.95
    assert ("points outside" in caplog.text) == (exif == "auto")


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (128, 128)])
def test_stored_pixels_where_sizes_do_not_tell(tmp_path, size):
    """Half a turn, and square pictures."""
    orientation = 3 if size[0] != size[1] else 6
    photograph(tmp_path, orientation, size=size)
    points = outline(*turned(BOX, orientation, size))
    assert overlap(coco(tmp_path, points, size)) < 0.5
    assert overlap(coco(tmp_path, points, size, exif="stored")) > 0.95


def test_stored_pixels_of_another_size_are_refused(tmp_path):
    photograph(tmp_path)
    with pytest.raises(DatasetError, match=r"128x96 as stored \(exif: stored\).* say 96x128"):
        coco(tmp_path, outline(*BOX), (HEIGHT, WIDTH), exif="stored")


def test_run_lengths_of_the_stored_size_are_refused_upright(tmp_path):
    photograph(tmp_path)
    data = coco(tmp_path, outline(*turned(BOX, 6)), (WIDTH, HEIGHT))
    content = json.loads((tmp_path / "a.json").read_text())
    rle = mask_util.merge(
        mask_util.frPyObjects(data.records[0]["annotations"][0]["segmentation"], WIDTH, HEIGHT)
    )
    rle["counts"] = rle["counts"].decode()
    content["annotations"][0]["segmentation"] = rle
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert (
        len(CocoDetection(str(tmp_path), str(tmp_path / "a.json")).records[0]["annotations"]) == 1
    )
    with pytest.raises(DatasetError, match="RLE mask that does not fit"):
        CocoDetection(str(tmp_path), str(tmp_path / "a.json"), exif="upright")


@pytest.mark.parametrize(
    ("exif", "box", "size"),
    [("auto", BOX, (HEIGHT, WIDTH)), ("stored", turned(BOX, 6), (WIDTH, HEIGHT))],
)
def test_fractions_are_of_the_picture_that_is_named(tmp_path, exif, box, size):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    photograph(tmp_path / "images")
    numbers = [v / size[1 - k % 2] for k, v in enumerate(outline(*box))]
    (tmp_path / "labels/p.txt").write_text(f"0 {' '.join(map(str, numbers))}")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [thing]\n")
    assert overlap(YoloSegmentation(str(tmp_path / "data.yaml"), exif=exif)) > 0.95


def test_written_as_coco_the_size_tells_it(tmp_path):
    """Converted, annotations of stored pixels are those of the upright picture where sizes would not tell."""
    photograph(tmp_path, 3)
    data = coco(tmp_path, outline(*turned(BOX, 3)), (HEIGHT, WIDTH), exif="stored")
    (tmp_path / "b.json").write_text(json.dumps(as_coco(data, {1: "p.png"})))
    assert overlap(CocoDetection(str(tmp_path), str(tmp_path / "b.json"))) > 0.95
