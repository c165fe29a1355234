"""Every kind of bad data: what the error says, what skip_invalid leaves out, what still stops."""

import re

import pytest

from paddlex_maskrcnn.data.datasets import DatasetError


def set_annotation(number, **values):
    return lambda data: data.annotation(number).update(values)


def drop(number, key):
    return lambda data: data.annotation(number).pop(key)


def with_image(number, **values):
    return lambda data: data.image(number).update(values)


ANNOTATION_PROBLEMS = [
    (
        drop(11, "segmentation"),
        "annotation without segmentation: annotation 11 (image 1 '1.png')",
    ),
    (set_annotation(11, segmentation=[]), "1 x annotation without segmentation: annotation 11"),
    (set_annotation(11, segmentation=None), "1 x annotation without segmentation"),
    (
        set_annotation(11, segmentation=[[4, 4, 9, 9]]),
        "1 x polygon with fewer than three points: annotation 11 (image 1 '1.png'): 2 points",
    ),
    (
        set_annotation(12, segmentation=[[], [1, 1, 5, 5]]),
        "annotation 12 (image 1 '1.png'): 0 poi",
    ),
    (
        set_annotation(11, segmentation=[[1, 1, 5, 1, 5, 5, 7]]),
        "x polygon that is not a list",
    ),
    (set_annotation(11, segmentation=[1, 1, 5, 1, 5, 5]), "x polygon that is not a list"),
    (set_annotation(11, segmentation="1 1 5 1"), "x polygon that is not a list"),
    (set_annotation(11, segmentation=[[[1, 1], [5, 1], [5, 5]]]), "x polygon that is not a list"),
    (
        set_annotation(11, segmentation=[["one", 1, 5, 1, 5, 5]]),
        "annotation 11 (image 1 '1.png'): entry 1 is 'one' (a string)",
    ),
    (
        set_annotation(11, segmentation=[[1, None, 5, 1, 5, 5]]),
        "(image 1 '1.png'): entry 2 is missing or null",
    ),
    (
        set_annotation(11, segmentation=[[5, 1, float("nan"), 1, 5, 5]]),
        "annotation 11 (image 1 '1.png'): point 2 is nan, 1",
    ),
    (
        set_annotation(11, segmentation=[[5, 1, 5, 5, 9, float("nan")]]),
        "annotation 11 (image 1 '1.png'): point 3 is 9, nan",
    ),
    (
        set_annotation(11, segmentation=[[1e30, 1, 5, 1, 5, 5]]),
        "annotation 11 (image 1 '1.png'): point 1 is 1e+30, 1",
    ),
    (set_annotation(11, segmentation=[[10**40, 1, 5, 1, 5, 5]]), "x polygon that is not a list"),
    (
        set_annotation(22, segmentation={"size": [48, 64], "counts": [48 * 64]}),
        "RLE mask that does not fit its image: annotation 22 (image 2 '2.png'): size is [48, 64]",
    ),
    (set_annotation(22, segmentation={"size": [64, 48], "counts": [5]}), "counts cover 5 pixels"),
    (
        set_annotation(22, segmentation={"size": [64, 48], "counts": [64 * 48]}),
        "1 x mask without a single pixel in the image: annotation 22",
    ),
    (
        set_annotation(11, segmentation=[[70, 4, 80, 4, 80, 30]]),
        "1 x mask without a single pixel in the image: annotation 11",
    ),
    (
        set_annotation(11, bbox=[4, 4, 20]),
        "1 x bbox that is not four finite numbers: annotation",
    ),
    (set_annotation(11, bbox=[4, 4, float("inf"), 5]), "1 x bbox that is not four finite numbers"),
    (
        set_annotation(11, bbox=["four", 4, 5, 5]),
        "bbox that is not four finite numbers: annotation 11 (image 1 '1.png'): ['four' (a string), 4",
    ),
    (set_annotation(11, bbox="4 4 5 5"), "1 x bbox that is not four finite numbers"),
    (
        set_annotation(11, bbox=[64, 4, 10, 10]),
        "1 x box outside the image or without area: annotation 11 (image 1 '1.png'): "
        "[64, 4, 10, 10] in 64x48",
    ),
    (
        set_annotation(11, iscrowd="no"),
        "1 x mark that is neither true nor false: annotation 11 (image 1 '1.png'): iscrowd is 'no'",
    ),
    (
        set_annotation(11, ignore=2),
        "neither true nor false: annotation 11 (image 1 '1.png'): ignore",
    ),
    (set_annotation(11, iscrowd=[0]), "iscrowd is 1 entries (a list)"),
    (set_annotation(11, bbox=[24, 30, -20, -26]), "1 x box outside the image or without area"),
    (
        set_annotation(11, image_id=99),
        "image id that is not in images: annotation 11 (image 99)",
    ),
    (set_annotation(11, image_id=None), "1 x image id that is not in images: annotation 11"),
    (set_annotation(11, image_id=[1]), "1 x image id that is not in images: annotation 11"),
    (set_annotation(11, image_id="one"), "image_id is 'one' (a string)"),
    (set_annotation(11, image_id=10**30), "image_id is beyond 10^18 (an integer)"),
]


def ids(table):
    return [row[1][:50] for row in table]


@pytest.mark.parametrize(("spoil", "fragment"), ANNOTATION_PROBLEMS, ids=ids(ANNOTATION_PROBLEMS))
def test_single_annotations_stop_unless_skipped(tiny_coco, caplog, spoil, fragment):
    spoil(tiny_coco)
    tiny_coco.save()
    with pytest.raises(DatasetError) as caught:
        tiny_coco.open()
    text = str(caught.value)
    assert fragment in text
    assert "1 problem in the data" in text
    assert str(tiny_coco.ann_file) in text
    assert "skip_invalid=True leaves out" in text
    assert "-> " in text
    assert isinstance(caught.value, ValueError)

    caplog.clear()
    dataset = tiny_coco.open(skip_invalid=True)
    assert len(caplog.records) == 1
    assert fragment in caplog.text
    assert "left out, because skip_invalid=True" in caplog.text
    assert sum(len(r["annotations"]) for r in dataset.records) == 5
    assert len(dataset.coco_gt.getAnnIds()) == 5
    assert dataset.num_samples == 4


FILE_PROBLEMS = [
    (with_image(2, file_name="gone.png"), "1 x missing image: image 2 ('gone.png')"),
    (
        with_image(2, file_name=""),
        "1 x image entry without id, file_name, height and width",
    ),
    (with_image(2, height=0), "1 x image entry without id, file_name, height and width"),
    (with_image(2, width="wide"), "image 2 ('2.png'): width is 'wide' (a string)"),
    (with_image(2, width=48.5), "image 2 ('2.png'): width is 48.5 (a float)"),
    (lambda data: data.image(2).pop("height"), "1 x image entry without id"),
    (
        with_image(2, height=48, width=64),
        "1 x image of another size than its annotations say: image 2 ('2.png'): "
        "the file is 48x64, the annotations say 64x48",
    ),
    (
        with_image(4, file_name="../images/4.png"),
        "1 x file name that leaves the data's folder: image 4",
    ),
    (
        with_image(4, file_name="a/../../x.png"),
        "1 x file name that leaves the data's folder: image 4",
    ),
    (
        with_image(4, file_name="/etc/hostname"),
        "1 x file name that leaves the data's folder: image 4",
    ),
    (with_image(4, file_name="a\0.png"), "1 x file name that leaves the data's folder: image 4"),
    (
        lambda data: data.content["images"].append(dict(data.image(1))),
        "1 x image id given twice: image 1",
    ),
    (
        set_annotation(12, category_id=5),
        "1 x category id that is not in categories: annotation 12 (image 1 '1.png'): category_id 5",
    ),
    (set_annotation(12, category_id="bolt"), "category_id is 'bolt' (a string)"),
    (set_annotation(12, category_id=10**30), "category_id is beyond 10^18 (an integer)"),
    (set_annotation(12, id=10**30), "id is beyond 10^18 (an integer)"),
    (set_annotation(12, id="twelve"), "id is 'twelve' (a string)"),
    (set_annotation(12, id=11), "1 x annotation without an integer id of its own: annotation 11"),
    (drop(12, "id"), "1 x annotation without an integer id of its own: annotation None (image 1"),
    (
        lambda data: data.content["categories"].append({"id": 7, "name": "screw"}),
        "1 x category id or name given twice: category 7 ('screw')",
    ),
    (
        lambda data: data.content["categories"].append({"id": 8, "name": "bolt"}),
        "1 x category id or name given twice: category 8 ('bolt')",
    ),
    (
        lambda data: data.content["categories"].append({"name": "x"}),
        "x category without id and name",
    ),
]


@pytest.mark.parametrize("skip_invalid", [False, True])
@pytest.mark.parametrize(("spoil", "fragment"), FILE_PROBLEMS, ids=ids(FILE_PROBLEMS))
def test_files_always_stop(tiny_coco, spoil, fragment, skip_invalid):
    spoil(tiny_coco)
    tiny_coco.save()
    with pytest.raises(DatasetError, match=re.escape(fragment)) as caught:
        tiny_coco.open(skip_invalid=skip_invalid)
    assert "1 problem in the data" in str(caught.value)


REPAIRS = [
    (
        set_annotation(12, segmentation=[[1, 1, 5, 1, 5, 5], [], [7, 7]]),
        "1 x part of an outline with fewer than three points, left out: annotation 12 (image 1",
        {"id": 12, "segmentation": [[1, 1, 5, 1, 5, 5]]},
    ),
    (
        set_annotation(11, segmentation=[["4", 4, "24.0", 4, 24, 30, 4, 30]]),
        "1 x number or truth value written as text or with a decimal point",
        {"segmentation": [[4, 4, 24, 4, 24, 30, 4, 30]]},
    ),
    (
        set_annotation(11, bbox=["4", "4", "20", "26"]),
        "1 x number or truth value written as text or with a decimal point",
        {"bbox": [4, 4, 20, 26]},
    ),
    *(
        (
            set_annotation(11, bbox=bbox),
            "1 x bbox that is empty or has no area, taken from the mask: annotation 11 (image 1",
            {"bbox": [4, 4, 20, 26]},
        )
        for bbox in ([], [0, 0, 0, 0], [4, 4, 0, 26], [4, 4, 20, 0])
    ),
    *(
        (
            set_annotation(11, iscrowd=mark),
            "annotation 11 (image 1 '1.png'): iscrowd",
            {"iscrowd": is_set},
        )
        for mark, is_set in (("0", 0), ("false", 0), ("", 0), (1.0, 1), ("True", 1), ("1", 1))
    ),
    (set_annotation(11, ignore="true"), "annotation 11 (image 1 '1.png'): ignore", {"ignore": 1}),
]


@pytest.mark.parametrize(("spoil", "note", "expected"), REPAIRS, ids=ids(REPAIRS))
def test_what_can_only_be_meant_one_way_is_repaired_and_counted(
    tiny_coco, caplog, spoil, note, expected
):
    spoil(tiny_coco)
    tiny_coco.save()
    (record, *_) = tiny_coco.open().records
    assert note in caplog.text
    assert len(caplog.records) == 1
    (annotation,) = (a for a in record["annotations"] if a["id"] == expected.get("id", 11))
    assert {key: annotation[key] for key in expected} == expected


@pytest.mark.parametrize("mark", [None, 0, False])
def test_plain_marks_need_no_note(tiny_coco, caplog, mark):
    tiny_coco.annotation(11)["iscrowd"] = mark
    tiny_coco.save()
    assert tiny_coco.open().records[0]["annotations"][0]["iscrowd"] == 0
    assert not caplog.records


def test_all_problems_come_in_one_error_and_long_lists_are_cut(tiny_coco):
    for number in range(100, 125):
        tiny_coco.content["annotations"].append(
            {"id": number, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5]}
        )
    tiny_coco.annotation(11)["bbox"] = [500, 500, 5, 5]
    tiny_coco.image(4)["file_name"] = "gone.png"
    tiny_coco.save()
    with pytest.raises(DatasetError) as caught:
        tiny_coco.open(skip_invalid=True)
    text = str(caught.value)
    assert "27 problems in the data" in text
    assert "25 x annotation without segmentation" in text
    assert "annotation 109" in text
    assert "annotation 110" not in text
    assert "and 15 more" in text
    assert "1 x box outside" in text
    assert "1 x missing image" in text


def test_an_error_of_an_image_is_not_repeated_for_its_annotations(tiny_coco):
    tiny_coco.image(1)["width"] = None
    tiny_coco.save()
    with pytest.raises(DatasetError, match="1 problem in the data"):
        tiny_coco.open()


def test_nothing_on_disk_changes(tiny_coco):
    tiny_coco.annotation(11)["bbox"] = [-5, 4, 20, 26]
    del tiny_coco.annotation(12)["segmentation"]
    tiny_coco.save()
    files = sorted(p for p in tiny_coco.ann_file.parent.rglob("*") if p.is_file())
    before = [(p, p.read_bytes(), p.stat().st_mtime_ns) for p in files]
    dataset = tiny_coco.open(skip_invalid=True)
    _ = dataset.coco_gt
    after = sorted(p for p in tiny_coco.ann_file.parent.rglob("*") if p.is_file())
    assert [(p, p.read_bytes(), p.stat().st_mtime_ns) for p in after] == before


def test_problems_can_be_collected_instead_of_stopping(tiny_coco, caplog):
    """What `check` does: it wants the set and all that is wrong with it."""
    from paddlex_maskrcnn.data.datasets.problems import collect_problems

    tiny_coco.image(4)["file_name"] = "gone.png"
    tiny_coco.annotation(11)["bbox"] = "none"
    tiny_coco.annotation(12)["bbox"] = [50, 30, 40.5, 60]
    tiny_coco.save()
    with collect_problems() as found:
        dataset = tiny_coco.open()
    assert not caplog.records
    (problems,) = found
    assert sorted(kind.title for kind in problems.occurrences) == [
        "bbox that is not four finite numbers", "missing image",
    ]  # fmt: skip
    assert len(problems.repaired) == 1
    assert (dataset.num_samples, len(dataset.records.classes)) == (3, 5)
    with pytest.raises(DatasetError):
        tiny_coco.open()
