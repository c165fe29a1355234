"""CVAT's xml: every shape, groups, pictures wherever its zip has them, what is wrong named."""

import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import CvatDetection, DatasetError
from support.record_masks import masks_of

WIDTH, HEIGHT = 60, 40
LABELS = "<label><name>dog</name></label><label><name>cat</name><type>polygon</type></label>"
SQUARE = '<polygon label="dog" points="10,10;20,10;20,20;10,20"/>'


@pytest.fixture
def task(tmp_path):
    """Writes annotations.xml with these shapes of one picture and opens it."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")

    def open_task(shapes, labels=LABELS, image="", **arguments):
        image = image or f'name="a.png" width="{WIDTH}" height="{HEIGHT}"'
        (tmp_path / "annotations.xml").write_text(
            f"<annotations><meta><task><labels>{labels}</labels></task></meta>"
            f'<image id="0" {image}>{shapes}</image></annotations>',
            encoding="utf-8",
        )
        return CvatDetection(tmp_path, tmp_path / "annotations.xml", **arguments)

    open_task.folder = tmp_path
    return open_task


def masks(dataset):
    return masks_of(dataset.records[0])


def box(left, top, right, bottom):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_polygons_and_boxes(task):
    dataset = task(SQUARE + '<box label="cat" xtl="30" ytl="5" xbr="50" ybr="15"/>')
    assert dataset.labels == ["dog", "cat"]
    first, second = masks(dataset)
    assert (first == box(10, 10, 20, 20)).all()
    assert (second == box(30, 5, 50, 15)).all()


def test_a_turned_box_turns_around_its_middle(task):
    (mask,) = masks(task('<box label="cat" xtl="20" ytl="15" xbr="40" ybr="25" rotation="90"/>'))
    assert (mask == box(25, 10, 35, 30)).all()


def test_an_ellipse(task):
    (mask,) = masks(task('<ellipse label="cat" cx="30" cy="20" rx="20" ry="10"/>'))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = ((x - 30) / 20) ** 2 + ((y - 20) / 10) ** 2 <= 1
    assert np.logical_and(mask, inside).sum() > 0.97 * np.logical_or(mask, inside).sum()


def test_a_mask_counts_its_rows_from_background(task):
    """`0, 1, 2, 2, 1`: begins with an object's pixel; what is left out at the end is background."""
    (mask,) = masks(
        task('<mask label="dog" rle="0, 1, 2, 2" left="5" top="30" width="3" height="2"/>')
    )
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[30:32, 5:8] = [[1, 0, 0], [1, 1, 0]]
    assert (mask == expected).all()


def test_shapes_of_a_group_are_one_object(task):
    part = '<polygon label="dog" group_id="3" points="30,10;40,10;40,20;30,20"/>'
    grouped = SQUARE.replace("<polygon", '<polygon group_id="3"')
    mask_part = (
        '<mask label="dog" group_id="3" rle="0, 4" left="50" top="30" width="2" height="2"/>'
    )
    assert len(masks(task(grouped + part + SQUARE))) == 2
    whole = masks(task(grouped + part + mask_part))
    assert len(whole) == 1
    expected = box(10, 10, 20, 20) | box(30, 10, 40, 20) | box(50, 30, 52, 32)
    assert (whole[0] == expected).all()


def test_an_image_without_shapes_is_background(task):
    assert task("").records[0]["annotations"] == []


@pytest.mark.parametrize("folder", ["images", "images/train"])
def test_pictures_of_the_zip(task, folder):
    target = task.folder / folder / "b.png"
    target.parent.mkdir(parents=True)
    (task.folder / "a.png").rename(target)
    image = f'name="b.png" subset="Train" width="{WIDTH}" height="{HEIGHT}"'
    assert task(SQUARE, image=image).records[0]["file_name"] == str(target)


def test_labels_that_cannot_have_an_area_are_no_classes(task):
    extra = (
        "<label><name>eye</name><type>points</type></label>"
        "<label><name>arm</name><type>any</type><parent>body</parent></label>"
    )
    assert task(SQUARE, LABELS + extra).labels == ["dog", "cat"]
    assert task(SQUARE, "").labels == ["dog"]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polyline label="dog" points="1,1;9,9"/>', "without an area.*'polyline'"),
        ('<points label="dog" points="1,1"/>', "without an area.*'points'"),
        ('<polygon label="dog" points="1,1;9;5,5"/>', "not pairs"),
        ('<polygon label="dog" points="1,1;a,9;5,5"/>', "could not convert"),
        ('<box label="dog" xtl="1" ytl="1" xbr="9"/>', "ybr is missing"),
        ('<mask label="dog" rle="9, 9" left="1" top="1" width="3" height="2"/>', "do not fit"),
        ('<mask label="dog" rle="-1, 2" left="1" top="1" width="3" height="2"/>', "do not fit"),
        ('<mask label="dog" rle="1" left="1" top="1" width="99999" height="99999"/>', "its box is"),
        ('<mask label="dog" rle="1" width="3" height="2"/>', "its box is"),
    ],
)
def test_shapes_that_cannot_be_used(task, shape, message):
    with pytest.raises(DatasetError, match=message):
        task(SQUARE + shape)
    assert len(masks(task(SQUARE + shape, skip_invalid=True))) == 1


def test_a_label_that_the_task_lacks(task):
    with pytest.raises(
        DatasetError, match=r"class that is not in label_list: .* shape 1 \('bird'\)"
    ):
        task(SQUARE.replace("dog", "bird"))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ('name="a.png" width="0" height="40"', "without a name, width and height"),
        ('name="../a.png" width="60" height="40"', "leaves the data's folder"),
        ('name="b.png" width="60" height="40"', "missing image"),
        ('name="a.png" width="90" height="40"', "annotations say 90x40"),
    ],
)
def test_images_that_cannot_be_used(task, image, message):
    with pytest.raises(DatasetError, match=message):
        task(SQUARE, image=image)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>", "not xml"),
        ("<annotation/>", "not CVAT's xml: it begins with <annotation>"),
        ("<annotations/>", "lists no image; export the task as 'CVAT for images"),
        ("<annotations><track id='0'/></annotations>", "'CVAT for video'"),
        ("<annotations><image id='0'/></annotations>", "nothing to learn"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "annotations.xml").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        CvatDetection(tmp_path, tmp_path / "annotations.xml")
