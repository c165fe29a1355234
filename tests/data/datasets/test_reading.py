"""Pictures and raw annotations become records: on the right pixels, or with a reason why not."""

import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError
from paddlex_maskrcnn.data.datasets.annotations import RawAnnotation
from paddlex_maskrcnn.data.datasets.reading import Parsed, Picture, Reading
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.data.transforms import Compose, RandomHorizontalFlip

SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


@pytest.fixture
def pictures(tmp_path):
    for k in range(3):
        Image.new("RGB", (20, 10)).save(tmp_path / f"{k}.png")
    return [Picture(str(tmp_path / f"{k}.png"), f"image {k}", 10 + k) for k in range(3)]


def test_records_are_in_order_and_annotations_numbered_where_they_have_no_id(pictures):
    def parse(picture):
        count = picture.image_id - 10
        raw = [RawAnnotation(f"object {k}", k, SQUARE, is_ignored=k == 1) for k in range(count)]
        return Parsed(objects=lambda frame: raw)

    reading = Reading("set", ".", boxes_expected=False)
    records = list(reading.records(pictures, parse))
    reading.problems.finish(skip_invalid=False)
    assert [record["image_id"] for record in records] == [10, 11, 12]
    assert [(record["height"], record["width"]) for record in records] == [(10, 20)] * 3
    annotations = [one for record in records for one in record["annotations"]]
    assert [one["id"] for one in annotations] == [1, 2, 3]
    assert [one["category_id"] for one in annotations] == [0, 0, 1]
    assert ["ignore" in one for one in annotations] == [False, False, True]
    assert annotations[0]["bbox"] == [2, 2, 6, 6]


def test_an_annotation_that_cannot_be_used_does_not_shift_the_others(pictures):
    """All of a block are checked together and dealt out again, image by image."""

    def parse(picture):
        where, bad = f"object of {picture.image_id}", [[1, 1, 5, 5]]
        both = [RawAnnotation(where, 0, bad), RawAnnotation(where, 1, SQUARE)]
        return Parsed(objects=lambda frame: both if picture.image_id == 11 else both[1:])

    reading = Reading("set", ".", boxes_expected=False)
    records = list(reading.records(pictures, parse))
    assert [len(record["annotations"]) for record in records] == [1, 1, 1]
    assert [record["annotations"][0]["category_id"] for record in records] == [1, 1, 1]
    with pytest.raises(
        DatasetError, match="1 x polygon with fewer than three points: object of 11"
    ):
        reading.problems.finish(skip_invalid=False)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0 and then nothing"])
def test_unreadable_image(tiny_coco, data):
    (tiny_coco.data_dir / "3.png").write_bytes(data)
    with pytest.raises(DatasetError, match=r"1 x unreadable image: image 3 \('3\.png'\)"):
        tiny_coco.open()


@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
def test_rotated_photographs_keep_pixels_and_polygons_together(tiny_coco, drawn_on):
    """The json's sizes say which pixels the polygons were drawn on; those are read."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[4:30, 4:24] = (0, 0, 250)  # annotation 11 of image 1
    exif = Image.Exif()
    exif[274] = 6  # taken with the camera on its side
    stored = pixels if drawn_on == "stored" else np.rot90(pixels)
    Image.fromarray(stored).save(tiny_coco.data_dir / "1.png", exif=exif)
    dataset = tiny_coco.open()
    mapper = TrainMapper(Compose([RandomHorizontalFlip(0.0)]), "RGB", 3, 0)
    sample = mapper(dataset.records[0], 0, 0)
    np.testing.assert_array_equal(sample["image"].numpy().transpose(1, 2, 0), pixels)
    box = sample["instances"].gt_boxes.tensor[0].tolist()
    assert box == [4, 4, 24, 30]


def test_pages_that_are_not_read_are_counted(tiny_coco, caplog):
    image = tiny_coco.content["images"][0]
    page = Image.open(tiny_coco.data_dir / image["file_name"])
    image["file_name"] = "pages.tif"
    page.save(tiny_coco.data_dir / "pages.tif", save_all=True, append_images=[page, page])
    tiny_coco.save()
    tiny_coco.open()
    assert "1 x picture of several pages or frames: image 1 ('pages.tif')" in caplog.text
    assert "reads the first one only" in caplog.text
