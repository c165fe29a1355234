"""Label Studio's json: every shape, labels in either form, pictures wherever they are."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError, LabelStudioDetection
from support.record_masks import masks_of

WIDTH, HEIGHT = 60, 40
RECTANGLE = {"x": 50, "y": 25, "width": 25, "height": 50, "rotation": 0}


def region(kind, value, label="dog", **more):
    result = {
        "id": "a", "type": f"{kind}labels", "original_width": WIDTH, "original_height": HEIGHT,
        "image_rotation": 0, "value": {**value, f"{kind}labels": [label]},
    }  # fmt: skip
    return {**result, **more}


TWO_LABELS = {
    "id": "a", "type": "rectanglelabels", "value": {**RECTANGLE, "rectanglelabels": ["dog", "cat"]},
}  # fmt: skip


def task(*results, image="a.png", **more):
    results = [{**result, "id": result["id"] + str(k)} for k, result in enumerate(results)]
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": results}], **more}


@pytest.fixture
def export(tmp_path):
    """Writes tasks and opens them."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")

    def open_export(*tasks, **arguments):
        (tmp_path / "export.json").write_text(json.dumps(list(tasks)), encoding="utf-8")
        return LabelStudioDetection(tmp_path, tmp_path / "export.json", **arguments)

    open_export.folder = tmp_path
    return open_export


def masks(dataset):
    return masks_of(dataset.records[0])


def box(left, top, right, bottom):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def brush(mask, repeated):
    """The stream of a mask as RGBA, in runs of one value or all values by themselves."""
    values = np.repeat(mask.ravel() * 255, 4)
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    position = 0
    while position < len(values):
        rest = values[position:]
        changes = np.flatnonzero(rest != rest[0])
        run = min(int(changes[0]) if len(changes) else len(rest), 2**16) if repeated else 8
        run = min(run, len(rest))
        which, size = next((k, s) for k, s in enumerate((3, 4, 8, 16)) if run <= 2**s)
        bits += f"{repeated:d}{which:02b}{run - 1:0{size}b}"
        bits += "".join(f"{value:08b}" for value in rest[: 1 if repeated else run])
        position += run
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_polygons_rectangles_and_ellipses_are_percent(export):
    points = [[10, 25], [50, 25], [50, 75], [10, 75]]
    ellipse = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0}
    dataset = export(
        task(
            region("polygon", {"points": points}),
            region("rectangle", RECTANGLE, "cat"),
            region("ellipse", ellipse),
        )
    )
    assert dataset.labels == ["cat", "dog"]
    polygon, rectangle, disc = masks(dataset)
    assert (polygon == box(6, 10, 30, 30)).all()
    assert (rectangle == box(30, 10, 45, 30)).all()
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = ((x - 30) / 15) ** 2 + ((y - 20) / 10) ** 2 <= 1
    assert np.logical_and(disc, inside).sum() > 0.96 * np.logical_or(disc, inside).sum()


def test_a_turned_rectangle_turns_around_its_first_corner(export):
    (mask,) = masks(export(task(region("rectangle", {**RECTANGLE, "rotation": 90}))))
    assert (mask == box(10, 10, 30, 25)).all()


@pytest.mark.parametrize("repeated", [True, False])
def test_a_brush(export, repeated):
    mask = np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.7
    mask[5:20, 10:50] = True
    value = {"format": "rle", "rle": brush(mask, repeated)}
    assert (masks(export(task(region("brush", value))))[0] == mask).all()


def test_a_bitmask(export):
    mask = np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.5
    file = io.BytesIO()
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    (found,) = masks(export(task(region("bitmask", {"imageDataURL": address}))))
    assert (found == mask).all()


def test_labels_and_shapes_as_separate_tags(export):
    shape = {**region("rectangle", RECTANGLE), "type": "rectangle", "value": RECTANGLE, "id": "x"}
    label = {**shape, "type": "labels", "value": {**RECTANGLE, "labels": ["cat"]}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["blurred"]}}
    entry = {
        "id": 1,
        "data": {"image": "a.png"},
        "annotations": [{"result": [shape, label, choice]}],
    }
    dataset = export(entry)
    assert dataset.labels == ["cat"]
    assert (masks(dataset)[0] == box(30, 10, 45, 30)).all()


def test_json_min(export):
    shape = {**RECTANGLE, "rectanglelabels": ["cat"], "original_width": WIDTH,
             "original_height": HEIGHT}  # fmt: skip
    dataset = export({"id": 1, "image": "/data/upload/1/0a1b2c3d-a.png", "label": [shape]})
    assert dataset.labels == ["cat"]
    assert (masks(dataset)[0] == box(30, 10, 45, 30)).all()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/data/upload/3/0a1b2c3d-my%20photo.png", "my photo.png"),
        ("/data/upload/3/0a1b2c3d-b.png", "0a1b2c3d-b.png"),
        ("/data/local-files/?d=set/day/b.png", "day/b.png"),
        ("s3://bucket/set/b.png", "deep/down/b.png"),
        ("https://example.org/set/b.png?size=2", "set/b.png"),
        ("C:\\set\\b.png", "b.png"),
        ("../../b.png", "b.png"),
    ],
)
def test_pictures_are_found(export, address, place):
    target = export.folder / place
    target.parent.mkdir(parents=True, exist_ok=True)
    (export.folder / "a.png").rename(target)
    dataset = export(task(region("rectangle", RECTANGLE), image=address))
    assert dataset.records[0]["file_name"] == str(target)


def test_a_name_that_is_there_twice(export):
    for folder in ("x", "y"):
        (export.folder / folder).mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(export.folder / folder / "b.png")
    with pytest.raises(DatasetError, match=r"occurs several times in data_dir.*x/b\.png, y/b\.png"):
        export(task(region("rectangle", RECTANGLE), image="/data/upload/0a1b2c3d-b.png"))


def test_unannotated_tasks_are_left_out_and_counted(export, caplog):
    unlabelled = {"id": 8, "data": {"image": "a.png"}, "annotations": []}
    skipped = {"id": 9, "data": {"image": "a.png"}, "annotations": [{"was_cancelled": True}]}
    dataset = export(task(region("rectangle", RECTANGLE)), unlabelled, skipped)
    assert dataset.num_samples == 1
    assert "2 x task that nobody has annotated, left out: task 8; task 9" in caplog.text


def test_a_task_submitted_empty_is_background(export):
    dataset = export(task(region("rectangle", RECTANGLE)), task())
    assert [len(record["annotations"]) for record in dataset.records] == [1, 0]


def test_of_several_annotations_the_newest_counts(export, caplog):
    older, newer = (
        {"result": [region("rectangle", RECTANGLE, label)], "updated_at": f"2026-01-0{day}"}
        for day, label in ((1, "old"), (2, "new"))
    )
    dataset = export({"id": 1, "data": {"image": "a.png"}, "annotations": [newer, older]})
    assert dataset.labels == ["new"]
    assert "several annotations, the newest is used" in caplog.text


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (region("keypoint", {"x": 1, "y": 1, "width": 1}), "without an area.*'keypoint'"),
        (region("polygon", {"points": [[1, 1], ["a", 2], [3, 3]]}), "finite numbers"),
        (region("polygon", {}), "finite numbers"),
        (region("rectangle", {**RECTANGLE, "x": None}), "finite numbers"),
        (region("rectangle", RECTANGLE, image_rotation=90), "turned by hand"),
        (TWO_LABELS, "label of its own"),
        (region("brush", {"rle": [0, 0, 0, 9]}), "counts are not run lengths"),
        (region("brush", {"rle": [300]}), "finite numbers"),
        (region("brush", {"rle": [1]}, original_width=3), "RLE mask that does not fit"),
        (region("bitmask", {"imageDataURL": "data:,x"}), "finite numbers"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_used(export, result, message):
    entry = task(region("rectangle", RECTANGLE), result)
    with pytest.raises(DatasetError, match=message):
        export(entry)
    assert len(masks(export(entry, skip_invalid=True))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "not a JSON export of Label Studio"),
        ([], "none of its 0 tasks is annotated"),
        ([{"id": 1, "data": {"image": "a.png"}}], "none of its 1 tasks is annotated"),
        ([{"id": 1, "data": {"text": "x"}, "annotations": [{"result": []}]}], "without a picture"),
        ([task()], "no labelled region"),
    ],
)
def test_exports_that_cannot_be_used(export, content, message):
    path = export.folder / "export.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        LabelStudioDetection(export.folder, path)


def test_a_picture_of_other_proportions(export):
    """A copy of another size is fine, another picture of the name is not."""
    for size, fits in (((120, 80), True), ((61, 41), True), ((40, 60), False), ((60, 50), False)):
        Image.new("RGB", size).save(export.folder / "a.png")
        if fits:
            assert export(task(region("rectangle", RECTANGLE))).num_samples == 1
        else:
            with pytest.raises(DatasetError, match="drawn on was 60x40"):
                export(task(region("rectangle", RECTANGLE)))


def test_a_picture_that_is_not_there(export):
    with pytest.raises(DatasetError, match="missing image"):
        export(task(region("rectangle", RECTANGLE), image="/data/upload/1/0a1b2c3d-z.png"))
