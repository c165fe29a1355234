"""VOC masks: what the first index picture shows, and how objects that it covers go on."""

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

SIZE = (40, 60)


def box(x, y, w, h):
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    return mask


def rle(mask):
    encoded = mask_util.encode(mask)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def indices_of(folder, name):
    with Image.open(folder / "voc" / "SegmentationObject" / name) as picture:
        return picture.mode, np.asarray(picture)


def test_other_tools_read_the_first_voc_mask(written):
    """A palette picture, later objects on top."""
    first, second = box(5, 5, 30, 20), box(10, 10, 30, 20)
    image = written.add_image()
    for shape in (first, second):
        written.add(image, rle(shape))
    written.read("voc")
    mode, indices = indices_of(written.folder, "a.png")
    assert mode == "P"
    np.testing.assert_array_equal(indices == 2, second)
    np.testing.assert_array_equal(indices == 1, first & ~second & 1)


def test_a_covered_object_is_whole_in_a_further_file(written):
    first, second = box(5, 5, 30, 20), box(10, 10, 30, 20)
    image = written.add_image()
    for shape in (first, second):
        written.add(image, rle(shape))
    written.read("voc")
    _, indices = indices_of(written.folder, "a.2.png")
    np.testing.assert_array_equal(indices, first)
    assert not (written.folder / "voc" / "SegmentationObject" / "a.3.png").exists()


def test_more_objects_than_8_bits_make_the_picture_16_bits_deep(written):
    image = written.add_image()
    corners = [(x, y) for x in range(0, 60, 2) for y in range(0, 20, 2)][:255]
    for x, y in corners:
        written.add(image, rle(box(x, y, 2, 2)))
    written.read("voc")
    mode, indices = indices_of(written.folder, "a.png")
    assert mode.startswith("I;16")
    assert indices[corners[-1][1], corners[-1][0]] == 255
