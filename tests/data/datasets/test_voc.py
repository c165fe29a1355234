"""VOC sets: masks are found, matched and exact; what is wrong is named."""

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError, VOCDetection
from paddlex_maskrcnn.data.datasets.index_masks import voc_palette

WIDTH, HEIGHT = 40, 30
BOXES = [(4, 5, 10, 8), (20, 3, 12, 20)]  # x, y, w, h of the objects


class TinyVoc:
    """One image with a dog and a cat, and one without objects, in VOC's folders."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("JPEGImages", "Annotations", "SegmentationObject"):
            (folder / name).mkdir(parents=True)
        for name in ("a", "b"):
            Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "JPEGImages" / f"{name}.png")
        self.mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, (x, y, w, h) in enumerate(BOXES, 1):
            self.mask[y : y + h, x : x + w] = k
        self.write_mask()
        self.write_xml("a", [("dog", BOXES[0], ""), ("cat", BOXES[1], "")])
        self.write_xml("b", [])
        (folder / "labels.txt").write_text("cat\ndog\n")
        self.write_list(
            "JPEGImages/a.png Annotations/a.xml\nJPEGImages\\b.png Annotations\\b.xml\n"
        )

    def write_mask(self, mode="P", name="a.png"):
        picture = Image.fromarray(self.mask, "L")
        if mode == "P":
            picture.putpalette(voc_palette().tobytes())
        elif mode == "RGB":
            picture = Image.fromarray(voc_palette()[self.mask])
        elif mode == "I;16":
            picture = Image.fromarray(self.mask.astype(np.uint16))
        picture.save(self.folder / "SegmentationObject" / name)

    def write_xml(self, name, objects, size=(WIDTH, HEIGHT)):
        text = f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        for label, (x, y, w, h), more in objects:
            text += f"<object><name>{label}</name>{more}<bndbox><xmin>{x + 1}</xmin>"
            text += (
                f"<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
            )
        (self.folder / "Annotations" / f"{name}.xml").write_text(text + "</annotation>")

    def write_list(self, text):
        (self.folder / "train.txt").write_text(text)

    def open(self, **arguments):
        arguments = {"num_workers": 0, **arguments}
        return VOCDetection(
            str(self.folder), self.folder / "train.txt", self.folder / "labels.txt", **arguments
        )


@pytest.fixture
def voc(tmp_path):
    return TinyVoc(tmp_path / "voc")


def boxes(dataset):
    """Box of the pixels of each object's mask, by class name."""
    return {
        dataset.labels[one["category_id"]]: tuple(mask_util.toBbox(one["segmentation"]).tolist())
        for one in dataset.records[0]["annotations"]
    }


def test_masks_boxes_classes_and_empty_images(voc, caplog):
    dataset = voc.open()
    assert not caplog.records
    assert dataset.labels == ["cat", "dog"]
    assert dataset.category_ids == [1, 2]
    assert dataset.metric == "VOC"
    assert [len(record["annotations"]) for record in dataset.records] == [2, 0]
    dog, cat = dataset.records[0]["annotations"]
    assert (dog["category_id"], cat["category_id"]) == (1, 0)
    assert dog["bbox"] == list(BOXES[0])
    for number, one in ((1, dog), (2, cat)):
        np.testing.assert_array_equal(mask_util.decode(one["segmentation"]), voc.mask == number)
        assert one["area"] == (voc.mask == number).sum()


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_masks_in_other_kinds_of_pictures(voc, mode):
    voc.write_mask(mode)
    assert boxes(voc.open()) == {"dog": BOXES[0], "cat": BOXES[1]}


def test_void_border_belongs_to_nobody(voc):
    voc.mask[5, 4:14] = 255
    voc.write_mask()
    assert boxes(voc.open())["dog"] == (4, 6, 10, 7)


def test_objects_in_another_order_are_matched_by_their_boxes(voc, caplog):
    voc.write_xml("a", [("cat", BOXES[1], ""), ("dog", BOXES[0], "")])
    assert boxes(voc.open()) == {"dog": BOXES[0], "cat": BOXES[1]}
    assert "matched by their boxes: Annotations/a.xml" in caplog.text


def test_a_missing_number_does_not_shift_the_rest(voc, caplog):
    """The dog was deleted from the xml, its pixels were not."""
    voc.write_xml("a", [("cat", BOXES[1], "")])
    with pytest.raises(
        DatasetError, match=r"mask index without an object in the xml: a\.png index 1"
    ):
        voc.open()
    assert boxes(voc.open(skip_invalid=True)) == {"cat": BOXES[1]}


def test_an_object_without_pixels_is_named(voc):
    voc.mask[voc.mask == 2] = 0
    voc.write_mask()
    expected = r"annotation without segmentation: Annotations/a\.xml object 2 \('cat'\)"
    with pytest.raises(DatasetError, match=expected):
        voc.open()


def test_small_objects_whose_border_is_void_keep_their_number(voc):
    """Half of VOC's small objects is void border: the IoU of the boxes is low, the order right."""
    voc.mask[voc.mask == 1] = 255
    voc.mask[8:10, 8:11] = 1
    voc.write_mask()
    assert boxes(voc.open())["dog"] == (8, 8, 3, 2)


def test_covered_objects_go_on_in_further_files(voc):
    whole = voc.mask == 1
    voc.mask[5:9, 4:9] = 2
    first = voc.mask.copy()
    voc.write_mask()
    voc.mask = whole.astype(np.uint8)
    voc.write_mask(name="a.2.png")
    dog, cat = voc.open().records[0]["annotations"]
    np.testing.assert_array_equal(mask_util.decode(dog["segmentation"]), whole)
    np.testing.assert_array_equal(mask_util.decode(cat["segmentation"]), first == 2)


def test_difficult_objects_train_and_do_not_count(voc):
    voc.write_xml(
        "a",
        [
            ("dog", BOXES[0], "<difficult>1</difficult>"),
            ("cat", BOXES[1], "<Difficult>0</Difficult>"),
        ],
    )
    dataset = voc.open()
    dog, cat = dataset.records[0]["annotations"]
    assert (dog["iscrowd"], dog["ignore"], cat["iscrowd"]) == (0, 1, 0)
    assert "ignore" not in cat
    assert [one["iscrowd"] for one in dataset.coco_gt.dataset["annotations"]] == [1, 0]


def test_difficult_objects_count_neither_for_nor_against(voc):
    """A detector that finds the cat is perfect, whether it finds the difficult dog or not."""
    from paddlex_maskrcnn.metrics.evaluation import compare

    voc.write_xml("a", [("dog", BOXES[0], "<difficult>1</difficult>"), ("cat", BOXES[1], "")])
    dataset = voc.open()
    both = [
        {"image_id": 1, "category_id": 1, "bbox": list(BOXES[1]), "score": 0.9},
        {"image_id": 1, "category_id": 2, "bbox": list(BOXES[0]), "score": 0.8},
    ]
    for results in (both, both[:1]):
        numbers = compare(dataset.coco_gt, results, "bbox", 100).average_precision
        assert numbers.ap == pytest.approx(1)


def test_outlines_in_the_xml_need_no_mask_file(voc):
    outline = "<polygon><x1>4</x1><y1>5</y1><x2>14</x2><y2>5</y2><x3>14.5</x3><y3>13</y3></polygon>"
    voc.write_xml("a", [("dog", BOXES[0], outline)])
    (voc.folder / "SegmentationObject" / "a.png").unlink()
    (one,) = voc.open().records[0]["annotations"]
    assert one["segmentation"] == [[4, 5, 14, 5, 14.5, 13]]


def test_boxes_without_any_mask_are_explained(voc):
    (voc.folder / "SegmentationObject" / "a.png").unlink()
    with pytest.raises(
        DatasetError, match=r"a\.xml has boxes but no masks \('.*a\.png' is no file\)"
    ):
        voc.open()


def spoiled(voc, what):
    annotations = voc.folder / "Annotations"
    if what == "class":
        voc.write_xml("a", [("dog", BOXES[0], ""), ("cow", BOXES[1], "")])
    elif what == "xml":
        (annotations / "b.xml").write_text("<annotation><object>")
    elif what == "no xml":
        (annotations / "b.xml").unlink()
    elif what == "no name":
        (annotations / "b.xml").write_text("<annotation><object></object></annotation>")
    elif what == "mask size":
        voc.mask = voc.mask[:-1]
        voc.write_mask()
    elif what == "mask file":
        (voc.folder / "SegmentationObject" / "a.png").write_bytes(b"nothing")
    elif what == "colours":
        Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(
            voc.folder / "SegmentationObject" / "a.png"
        )
    elif what == "line":
        voc.write_list("JPEGImages/a.png Annotations/a.xml\nmy photo.png Annotations/b.xml x")
    elif what == "outside":
        voc.write_list("JPEGImages/a.png Annotations/a.xml\n../x.png Annotations/b.xml")
    elif what == "no box":
        voc.write_xml("a", [("dog", ("x", 5, 10, 8), ""), ("cat", BOXES[1], "")])


@pytest.mark.parametrize(
    ("what", "fragment"),
    [
        ("class", r"class that is not in label_list: Annotations/a\.xml object 2 \('cow'\)"),
        ("xml", r"annotation file that cannot be used: Annotations/b\.xml: not xml: "),
        ("no xml", r"annotation file that cannot be used: Annotations/b\.xml: missing"),
        ("no name", r"Annotations/b\.xml: object 1 has no name"),
        (
            "mask size",
            r"image 1 \('JPEGImages/a\.png'\): the file is 40x30, the annotations say 40x29",
        ),
        ("mask file", r"image 1 \('JPEGImages/a\.png'\): a\.png: no picture that can be read"),
        ("colours", r"a\.png: colour \[1, 2, 3\] is not in VOC's colour map"),
        ("line", r"line that is not 'image annotation': train\.txt line 2: 'my photo\.png"),
        ("outside", r"file name that leaves the data's folder: train\.txt line 2: '\.\./x\.png'"),
    ],
)
def test_what_is_wrong_is_named(voc, what, fragment):
    spoiled(voc, what)
    with pytest.raises(DatasetError, match=fragment) as caught:
        voc.open(skip_invalid=True)
    assert "1 problem in the data" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "fragment"),
    [
        (b"", r"labels\.txt' is empty"),
        (b"cat\ncat\n", r"classes given twice: cat"),
        (b"\xff\xfe\x00", "damaged UTF-16 text, or no text"),
        (b"\xc6\xbb\xb9\xfb\n", "iconv -f GB18030 -t UTF-8 labels.txt"),
        (None, r"labels\.txt': missing"),
    ],
)
def test_class_lists_that_are_none(voc, labels, fragment):
    path = voc.folder / "labels.txt"
    path.unlink() if labels is None else path.write_bytes(labels)
    with pytest.raises(DatasetError, match=fragment):
        voc.open()


@pytest.mark.parametrize("line", ["a\nb", "a 1\nb -1", "JPEGImages/a.png\tAnnotations/a.xml\nb"])
def test_lists_of_names_alone_and_with_tabs(voc, line):
    voc.write_list(line)
    assert [len(record["annotations"]) for record in voc.open().records] == [2, 0]


def test_a_third_column_names_the_mask(voc):
    (voc.folder / "SegmentationObject").rename(voc.folder / "masks")
    voc.write_list("JPEGImages/a.png Annotations/a.xml masks/a.png")
    assert len(boxes(voc.open())) == 2


def polygon(**numbers):
    return "<polygon>" + "".join(f"<{k}>{v}</{k}>" for k, v in numbers.items()) + "</polygon>"


TRIANGLE = {"x1": 4, "y1": 5, "x2": 14, "y2": 5, "x3": 14, "y3": 13}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"y2": ""}, "point 2 is 14, nan"),
        ({"x2": "x"}, "point 2 is nan, 5"),
        ({"x1": None, "y1": None}, "point 1 is nan, nan"),
        ({"y3": None}, "point 3 is 14, nan"),
        ({"x9": 1, "y9": 1}, "point 4 is nan, nan"),
        ({"x999999999": 1, "y999999999": 1}, "point 4 is nan, nan"),
    ],
)
def test_an_outline_is_not_cut_where_a_number_is_missing(voc, changes, fault):
    numbers = (
        {**TRIANGLE, "x4": 4, "y4": 13} if len(changes) == 1 and "y3" not in changes else TRIANGLE
    )
    numbers = {k: v for k, v in {**numbers, **changes}.items() if v is not None}
    voc.write_xml(
        "a", [("dog", BOXES[0], polygon(**numbers)), ("cat", BOXES[1], polygon(**TRIANGLE))]
    )
    with pytest.raises(DatasetError) as caught:
        voc.open()
    assert f"Annotations/a.xml object 1 ('dog'): {fault}" in str(caught.value)
    assert len(voc.open(skip_invalid=True).records[0]["annotations"]) == 1


def test_outlines_of_points_as_labelme_wrote_them(voc):
    """MIT's LabelMe: no box, `<pt>` each, and objects that were deleted stay in the file."""
    points = [(4, 5), (14.5, 5), (14.5, 13)]
    outline = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in points)
    both = [("dog", (-1, -1, 1, 1), f"<deleted>0</deleted><polygon>{outline}</polygon>")]
    both += [("cat", (-1, -1, 1, 1), f"<deleted>1</deleted><polygon>{outline}</polygon>")]
    voc.write_xml("a", both)
    dataset = voc.open()
    (annotation,) = dataset.records[0]["annotations"]
    assert dataset.labels[annotation["category_id"]] == "dog"
    assert annotation["bbox"] == [4, 5, 10.5, 8]
    assert annotation["segmentation"] == [[4, 5, 14.5, 5, 14.5, 13]]


def test_a_polygon_without_numbers_says_nothing(voc, caplog):
    voc.write_xml("a", [("dog", BOXES[0], "<polygon/>"), ("cat", BOXES[1], "")])
    assert len(voc.open().records[0]["annotations"]) == 2
    assert not caplog.records


@pytest.mark.parametrize("mark", ["difficult", "iscrowd"])
def test_marks_that_are_none_are_named(voc, mark):
    voc.write_xml("a", [("dog", BOXES[0], f"<{mark}>maybe</{mark}>"), ("cat", BOXES[1], "")])
    with pytest.raises(DatasetError, match=f"object 1 \\('dog'\\): {mark} is 'maybe'"):
        voc.open()
    assert len(voc.open(skip_invalid=True).records[0]["annotations"]) == 1


def test_a_size_that_is_none_is_named(voc):
    voc.write_xml("a", [("dog", BOXES[0], "")], size=("wide", HEIGHT))
    with pytest.raises(DatasetError, match=r"a\.xml: width is 'wide' \(a string\)"):
        voc.open()


def test_a_box_of_zeros_is_taken_from_the_mask(voc, caplog):
    voc.write_xml("a", [("dog", (-1, -1, 1, 1), ""), ("cat", BOXES[1], "")])
    boxes = [one["bbox"] for one in voc.open().records[0]["annotations"]]
    assert boxes == [list(BOXES[0]), list(BOXES[1])]
    assert "taken from its mask" in caplog.text


def test_objects_to_be_left_out(voc, caplog):
    voc.write_xml("a", [("__ignore__", BOXES[0], ""), ("cat", BOXES[1], "")])
    dataset = voc.open()
    (one,) = dataset.records[0]["annotations"]
    assert dataset.labels[one["category_id"]] == "cat"
    assert (
        "__ignore__ or _background_, which is none, left out: Annotations/a.xml object 1"
        in caplog.text
    )


def test_a_list_of_pictures_and_masks_is_told_what_it_lacks(voc):
    voc.write_list(
        "JPEGImages/a.png SegmentationObject/a.png\nJPEGImages/b.png Annotations/b.xml\n"
    )
    with pytest.raises(DatasetError) as caught:
        voc.open()
    assert "1 x line whose second column is a picture instead of the image's xml" in str(
        caught.value
    )
    assert "train.txt line 1: 'SegmentationObject/a.png'" in str(caught.value)
    assert "it may be the third column, or SegmentationObject/NAME.png" in str(caught.value)


@pytest.mark.parametrize("code", ["gbk", "big5", "utf-16", "utf-8-sig", "latin-1"])
def test_xml_in_the_encoding_that_it_declares(voc, code):
    name = "\u72ac" if code != "latin-1" else "l\u00f6we"
    voc.write_xml("a", [("dog", BOXES[0], ""), (name, BOXES[1], "")])
    path = voc.folder / "Annotations/a.xml"
    declared = f'<?xml version="1.0" encoding="{code.removesuffix("-sig")}"?>\n'
    path.write_bytes((declared + path.read_text(encoding="utf-8")).encode(code))
    (voc.folder / "labels.txt").write_text(f"dog\n{name}\n", encoding="utf-8")
    assert [one["category_id"] for one in voc.open().records[0]["annotations"]] == [0, 1]


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("", "iconv -f GB18030 -t UTF-8 a.xml"),
        ("big5", "not big5 text"),
        ("klingon", "not xml: unknown enc"),
    ],
)
def test_xml_in_another_encoding_than_it_says(voc, declared, reason):
    path = voc.folder / "Annotations/a.xml"
    text = path.read_text().replace("dog", "\u4e02\u82f9\u679c")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    path.write_bytes((head + text).encode("gbk"))
    with pytest.raises(DatasetError) as caught:
        voc.open()
    assert reason in str(caught.value)


def test_annotations_and_masks_written_in_another_case_are_found(voc, caplog):
    (voc.folder / "Annotations/a.xml").rename(voc.folder / "Annotations/A.XML")
    (voc.folder / "SegmentationObject/a.png").rename(voc.folder / "SegmentationObject/A.PNG")
    (voc.folder / "JPEGImages/b.png").rename(voc.folder / "JPEGImages/B.png")
    assert [len(record["annotations"]) for record in voc.open().records] == [2, 0]
    assert "3 x file name that is not written as the file's place" in caplog.text
    voc.write_list(f"{voc.folder}/JPEGImages/a.png Annotations/a.xml\n")
    assert [len(record["annotations"]) for record in voc.open().records] == [2]


def test_masks_alone_written_in_another_case_are_found(voc):
    (voc.folder / "SegmentationObject/a.png").rename(voc.folder / "SegmentationObject/a.PNG")
    assert [len(record["annotations"]) for record in voc.open().records] == [2, 0]


def test_an_annotation_of_another_picture_is_not_taken(voc):
    """a.xml is gone, and A.xml belongs to A.png."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(voc.folder / "JPEGImages/A.png")
    (voc.folder / "Annotations/a.xml").rename(voc.folder / "Annotations/A.xml")
    voc.write_list("JPEGImages/a.png Annotations/a.xml\nJPEGImages/A.png Annotations/A.xml\n")
    with pytest.raises(DatasetError, match=r"Annotations/a\.xml: missing"):
        voc.open()
