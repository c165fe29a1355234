"""What is hard to write: overlaps, hundreds of objects, thin ones, turned photographs, same names."""

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from support.record_masks import masks_of

WIDTH, HEIGHT = 60, 40


def rle(mask):
    encoded = mask_util.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def box(x, y, w, h, size=(HEIGHT, WIDTH)):
    mask = np.zeros(size, bool)
    mask[y : y + h, x : x + w] = True
    return mask


ALL = ["labelme", "voc", "easydata", "yolo"]


@pytest.mark.parametrize("form", ALL)
def test_objects_that_cover_each_other_stay_whole(written, form):
    """Three on one another, and one that is all covered."""
    shapes = [box(5, 5, 30, 20), box(10, 10, 30, 20), box(20, 2, 10, 30), box(21, 12, 3, 3)]
    shapes = [*shapes, box(12, 12, 20, 10)]
    image = written.add_image()
    for shape in shapes:
        written.add(image, rle(shape))
    found = masks_of(written.read(form).records[0])
    assert len(found) == len(shapes)
    for one, expected in zip(found, shapes, strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("form", ALL)
def test_hundreds_of_objects(written, form):
    places = [(x, y) for x in range(0, WIDTH - 2, 2) for y in range(0, HEIGHT - 2, 2)][:320]
    image = written.add_image()
    for x, y in places:
        written.add(image, rle(box(x, y, 2, 2)))
    found = masks_of(written.read(form).records[0])
    assert len(found) == 320
    for one, (x, y) in zip(found, places, strict=True):
        np.testing.assert_array_equal(one, box(x, y, 2, 2))


@pytest.mark.parametrize("form", ALL)
def test_holes_parts_and_overlapping_parts(written, form):
    ring = box(2, 2, 12, 12) & ~box(5, 5, 4, 4) | box(20, 2, 5, 5)
    nested = [[30, 5, 50, 5, 50, 25, 30, 25], [34, 9, 40, 9, 40, 15, 34, 15]]  # COCO: a union
    overlapping = [[5, 20, 15, 20, 15, 35, 5, 35], [10, 25, 25, 25, 25, 30, 10, 30]]
    expected = [ring, box(30, 5, 20, 20), box(5, 20, 10, 15) | box(10, 25, 15, 5)]
    image = written.add_image()
    for segmentation in (rle(ring), nested, overlapping):
        written.add(image, segmentation)
    found = masks_of(written.read(form).records[0])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["labelme", "voc", "yolo"])
def test_objects_too_thin_for_a_pixel_are_kept(written, form):
    """EasyData has pixels only: there such an object has none, and says so when it is read."""
    sliver = [10.1, 10.1, 20.3, 10.1, 20.3, 10.2]
    image = written.add_image()
    written.add(image, [[30, 5, 50, 5, 50, 25, 30, 25]], [30, 5, 20, 20])
    written.add(image, [sliver], [10.1, 10.1, 10.2, 0.1], area=1)
    _, thin = written.read(form).records[0]["annotations"]
    np.testing.assert_allclose(thin["segmentation"][0], sliver, atol=1e-6)


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_on_stored_pixels_are_turned_with_the_photograph(written, form, orientation):
    image = written.add_image(orientation=orientation)
    written.add(image, rle(box(4, 5, 20, 10)), [4, 5, 20, 10])
    written.add(image, [[30, 20, 50, 20, 50, 36, 30, 36]], [30, 20, 20, 16])
    record = written.read(form).records[0]
    assert (record["height"], record["width"]) == (WIDTH, HEIGHT)
    exif = Image.Exif()
    exif[274] = orientation
    for one, shape in zip(masks_of(record), (box(4, 5, 20, 10), box(30, 20, 20, 16)), strict=True):
        path = written.folder / "mask.png"
        Image.fromarray(shape.astype(np.uint8)).save(path, exif=exif)
        from PIL import ImageOps

        expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
        np.testing.assert_array_equal(one, expected.astype(bool))
    x, y, width, height = record["annotations"][1]["bbox"]
    assert masks_of(record)[1][int(y) : int(y + height), int(x) : int(x + width)].all()


@pytest.mark.parametrize("form", ALL)
def test_pictures_of_the_same_name_do_not_meet(written, form):
    names = ["x/a.png", "y/a.png", "y/A.jpg", "my photo.png"]
    for k, name in enumerate(names):
        written.add(written.add_image(name), rle(box(k, k, 10 + k, 10)))
    dataset = written.read(form)
    assert len({record["file_name"].lower() for record in dataset.records}) == 4
    areas = sorted(one["area"] for record in dataset.records for one in record["annotations"])
    assert areas == [100, 110, 120, 130]
