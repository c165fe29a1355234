"""LabelMe folders: every shape, parts and holes, pictures wherever they are, what is wrong named."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from paddlex_maskrcnn.data.datasets import DatasetError, LabelMeDetection
from paddlex_maskrcnn.data.images import read_image
from support.record_masks import masks_of

WIDTH, HEIGHT = 60, 40


def square(x, y, side, label="dog", **more):
    points = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    return {"label": label, "points": points, "shape_type": "polygon", **more}


def filled(*squares):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for x, y, side in squares:
        mask[y : y + side, x : x + side] = True
    return mask


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class TinyLabelMe:
    """A folder with one picture, `a.png`, and its json."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(self.pixels).save(folder / "a.png")

    def write(self, *shapes, name="a.json", **changes):
        content = {
            "version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png",
            "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH,
        }  # fmt: skip
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(json.dumps({**content, **changes}))
        return self

    def open(self, **arguments):
        return LabelMeDetection(self.folder, num_workers=0, **arguments)

    def masks(self, **arguments):
        """Mask of each object of the first image."""
        return masks_of(self.open(**arguments).records[0])


@pytest.fixture
def labelme(tmp_path):
    return TinyLabelMe(tmp_path / "labelme")


def test_polygons_stay_polygons(labelme, caplog):
    labelme.write(square(4, 5, 10), square(20.5, 5.25, 6, "cat"))
    dataset = labelme.open()
    assert not caplog.records
    assert dataset.labels == ["cat", "dog"]
    dog, cat = dataset.records[0]["annotations"]
    assert dog["segmentation"] == [[4, 5, 14, 5, 14, 15, 4, 15]]
    assert dog["bbox"] == [4, 5, 10, 10]
    assert dog["area"] == 100
    assert cat["bbox"] == [20.5, 5.25, 6, 6]
    assert (dog["category_id"], cat["category_id"]) == (1, 0)


@pytest.mark.parametrize("corners", [[[4, 5], [14, 15]], [[14, 15], [4, 5]], [[4, 15], [14, 5]]])
def test_rectangles_from_any_corner(labelme, corners):
    labelme.write({"label": "dog", "points": corners, "shape_type": "rectangle"})
    np.testing.assert_array_equal(labelme.masks()[0], filled((4, 5, 10)))


@pytest.mark.parametrize("radius", [0.7, 5, 15])
def test_circles(labelme, radius):
    """Its area is that of the circle, its box the circle's, its sides a tenth of a pixel inside."""
    labelme.write({"label": "dog", "points": [[30, 20], [30, 20 + radius]], "shape_type": "circle"})
    (one,) = labelme.open().records[0]["annotations"]
    x, y = np.reshape(one["segmentation"][0], (-1, 2)).T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == pytest.approx(np.pi * radius**2, rel=0.03)
    middles = (np.stack([x, y]) + np.roll(np.stack([x, y]), 1, axis=1)) / 2 - [[30], [20]]
    assert np.hypot(*middles).min() > radius - 0.101
    assert one["bbox"] == pytest.approx([30 - radius, 20 - radius, 2 * radius, 2 * radius], abs=0.3)


def test_mask_shapes(labelme):
    patch = np.zeros((8, 12), np.uint8)
    ImageDraw.Draw(picture := Image.fromarray(patch)).ellipse((1, 1, 10, 6), fill=255)
    patch = np.asarray(picture)
    points = [[50, 10], [61, 17]]  # sticks out on the right
    labelme.write({"label": "dog", "points": points, "shape_type": "mask", "mask": png(patch)})
    expected = np.zeros((HEIGHT, WIDTH + 12), bool)
    expected[10:18, 50:62] = patch > 0
    np.testing.assert_array_equal(labelme.masks()[0], expected[:, :WIDTH])


def test_group_joins_parts_of_one_label(labelme):
    labelme.write(
        square(4, 5, 6, group_id=1),
        square(20, 5, 6, group_id=1),
        square(40, 5, 6, "cat", group_id=1),
    )
    dog, cat = labelme.open().records[0]["annotations"]
    assert len(dog["segmentation"]) == 2
    assert dog["bbox"] == [4, 5, 22, 6]
    assert cat["bbox"] == [40, 5, 6, 6]


def test_parts_inside_parts_are_holes(labelme):
    """Ring, disc in the ring, and a part beside them."""
    labelme.write(
        square(10, 10, 4, group_id=1), square(5, 5, 20, group_id=1),
        square(8, 8, 10, group_id=1), square(40, 5, 6, group_id=1),
    )  # fmt: skip
    expected = filled((5, 5, 20), (40, 5, 6)) & ~filled((8, 8, 10)) | filled((10, 10, 4))
    (mask,) = labelme.masks()
    np.testing.assert_array_equal(mask, expected)


def test_the_same_shapes_without_a_group_are_objects_of_their_own(labelme):
    labelme.write(square(5, 5, 20), square(8, 8, 10))
    assert [mask.sum() for mask in labelme.masks()] == [400, 100]


def test_parts_that_overlap_are_joined(labelme):
    labelme.write(square(5, 5, 20, group_id=0), square(20, 20, 10, group_id=0))
    np.testing.assert_array_equal(labelme.masks()[0], filled((5, 5, 20), (20, 20, 10)))


def test_flags_mark_crowd_and_difficult(labelme):
    labelme.write(
        square(1, 1, 5, flags={"iscrowd": True}), square(9, 9, 5, flags={"difficult": True})
    )
    crowd, difficult = labelme.open().records[0]["annotations"]
    assert (crowd["iscrowd"], difficult["iscrowd"], difficult["ignore"]) == (1, 0, 1)


def test_pixels_in_the_json_need_no_file(labelme):
    data = base64.b64encode((labelme.folder / "a.png").read_bytes()).decode()
    labelme.write(square(1, 1, 5), imageData=data, imagePath="C:\\photos\\gone.png")
    (labelme.folder / "a.png").unlink()
    record = labelme.open().records[0]
    np.testing.assert_array_equal(read_image(record["file_name"], "RGB"), labelme.pixels)
    assert (record["height"], record["width"]) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "path", ["..\\pictures\\a.png", "../pictures/a.png", "D:\\x\\a.png", "/home/x/a.png", "a.png"]
)
def test_pictures_are_found_by_path_and_by_name(labelme, path):
    """A path of another computer counts by its last part, as a picture beside the json."""
    folder = labelme.folder / ("pictures" if "pictures" in path else "jsons")
    folder.mkdir()
    (labelme.folder / "a.png").rename(folder / "a.png")
    labelme.write(square(1, 1, 5), name="jsons/a.json", imagePath=path)
    assert labelme.open().records[0]["file_name"] == str(folder / "a.png")


def test_pictures_in_a_folder_of_their_own(labelme, tmp_path):
    (tmp_path / "pictures").mkdir()
    (labelme.folder / "a.png").rename(tmp_path / "pictures" / "a.png")
    labelme.write(square(1, 1, 5), imagePath="..\\pictures\\a.png")
    with pytest.raises(
        DatasetError, match=r"leaves the data's folder: a\.json: imagePath '\.\./pict"
    ):
        labelme.open()
    dataset = labelme.open(image_dir=tmp_path / "pictures")
    assert dataset.records[0]["file_name"] == str(tmp_path / "pictures" / "a.png")


def test_a_picture_that_was_renamed_with_its_json(labelme, caplog):
    (labelme.folder / "a.png").rename(labelme.folder / "b.png")
    labelme.write(square(1, 1, 5), name="b.json")
    assert labelme.open().records[0]["file_name"].endswith("b.png")
    assert "found by the name of its json: b.json: imagePath 'a.png'" in caplog.text


def test_empty_images_and_pictures_without_json(labelme):
    Image.new("RGB", (5, 5)).save(labelme.folder / "unlabelled.png")
    labelme.write()
    dataset = labelme.open(label_list=["dog"])
    assert (dataset.num_samples, dataset.records[0]["annotations"]) == (1, [])
    with pytest.raises(DatasetError, match="there is no object to learn; give label_list"):
        labelme.open()


def test_class_list_of_labelme(labelme, tmp_path):
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    labelme.write(square(1, 1, 5, "cat"))
    assert labelme.open(label_list=tmp_path / "labels.txt").labels == ["dog", "cat"]
    labelme.write(square(1, 1, 5, "cow"))
    with pytest.raises(DatasetError, match=r"not in label_list: a\.json shape 1 \('cow'\)"):
        labelme.open(label_list=tmp_path / "labels.txt")


def test_folders_that_go_in_circles_end(labelme):
    labelme.write(square(1, 1, 5))
    for name in ("again", "and again"):
        (labelme.folder / name).symlink_to(labelme.folder)
    assert labelme.open().num_samples == 1


@pytest.mark.parametrize(
    ("shape", "fragment"),
    [
        (
            {"label": "dog", "points": [[1, 2]], "shape_type": "point"},
            "shape without an area: a.json",
        ),
        ({"label": "dog", "points": [[1, 2], [3, 4]], "shape_type": "line"}, r"'dog'): 'line'"),
        ({"label": "dog", "points": [[1, 2], [3, 4]]}, "polygon with fewer than three points"),
        (
            {"label": "dog", "points": [["one", 2]] * 3},
            "points of the polygon are not pairs of numb",
        ),
        (
            {"label": "dog", "points": [[1, 2]] * 3, "shape_type": "rotation"},
            "rotation of 3 points instead of 4",
        ),
        ({**square(9, 9, 5), "group_id": True}, "group_id is True (a truth value)"),
        ({**square(9, 9, 5), "difficult": "perhaps"}, "difficult is 'perhaps' (a string)"),
        ({"label": "dog", "points": None}, "polygon that is not a list of x, y pairs"),
        (
            {"label": "dog", "points": [[1, 2], [1, float("nan")]], "shape_type": "circle"},
            "x, y pairs",
        ),
        (
            {"label": "dog", "points": [[5, 5], [5, 5]], "shape_type": "circle"},
            "without a single pixel",
        ),
        (
            {"label": "dog", "points": [[1, 2]], "shape_type": "rectangle"},
            "fewer than three points",
        ),
        ({"label": "dog", "points": [[1, 2]], "shape_type": "mask", "mask": "%%"}, "without a PNG"),
    ],
)
def test_shapes_that_cannot_be_used(labelme, shape, fragment):
    labelme.write(shape, square(1, 1, 5))
    with pytest.raises(DatasetError) as caught:
        labelme.open()
    assert fragment in str(caught.value)
    assert "a.json shape 1 ('dog')" in str(caught.value)
    assert len(labelme.masks(skip_invalid=True)) == 1


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "a.json: not json"),
        ('{"images": []}', "a.json: not LabelMe's json: no list of shapes"),
        ('{"shapes": [{"points": []}]}', "a.json: shape 1 has no label"),
        ('{"shapes": [{"label": "x", "points": [[0,0],[9,0],[9,9]]}]}', "FOUND"),
        (
            '{"imagePath": "gone.png", "shapes": [{"label": "x", "points": [[0,0],[9,0],[9,9]]}]}',
            "FOUND",
        ),
    ],
)
def test_files_that_are_not_whole(labelme, text, fragment, caplog):
    (labelme.folder / "a.json").write_text(text)
    if fragment == "FOUND":
        assert len(labelme.masks()) == 1
        assert "found by the name of its json" in caplog.text
    else:
        with pytest.raises(DatasetError) as caught:
            labelme.open(skip_invalid=True)
        assert fragment in str(caught.value)


def test_folder_without_json(tmp_path):
    with pytest.raises(DatasetError, match="has no json files"):
        LabelMeDetection(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        LabelMeDetection(tmp_path / "nowhere")


@pytest.mark.parametrize("labels", [None, ["dog"]])
def test_a_folder_of_lines_only_is_told_why(labelme, labels):
    labelme.write(square(1, 1, 5, shape_type="linestrip"), square(9, 9, 5, shape_type="line"))
    with pytest.raises(DatasetError) as caught:
        labelme.open(label_list=labels)
    assert "2 x shape without an area: a.json shape 1 ('dog'): 'linestrip'" in str(caught.value)


@pytest.mark.parametrize("label", ["__ignore__", "_background_"])
def test_shapes_to_be_left_out(labelme, caplog, label):
    line = {"label": label, "points": [[1, 1]], "shape_type": "point"}
    labelme.write(square(1, 1, 5), square(20, 1, 5, label), line)
    dataset = labelme.open()
    assert dataset.labels == ["dog"]
    assert len(dataset.records[0]["annotations"]) == 1
    assert "2 x object or class named __ignore__ or _background_" in caplog.text


def test_difficult_of_x_anylabeling_is_that_of_voc(labelme):
    labelme.write(square(1, 1, 5, difficult=True), square(20, 1, 5, difficult=False))
    assert [one.get("ignore", 0) for one in labelme.open().records[0]["annotations"]] == [1, 0]


@pytest.mark.parametrize("side", ["40", 40.0])
def test_sizes_as_texts(labelme, caplog, side):
    labelme.write(square(1, 1, 5), imageHeight=side)
    assert labelme.open().num_samples == 1
    assert "written as text or with a decimal point" in caplog.text


@pytest.mark.parametrize("side", ["tall", -40, 40.5, True, [40]])
def test_sizes_that_are_none(labelme, side):
    """A size that is passed over could not tell that the picture is another one."""
    labelme.write(square(1, 1, 5), imageHeight=side)
    with pytest.raises(DatasetError, match=r"a\.json: imageHeight is "):
        labelme.open()


def test_names_written_otherwise_are_found(labelme, caplog):
    (labelme.folder / "a.png").rename(labelme.folder / "My Photo.PNG")
    labelme.write(square(1, 1, 5), imagePath="D:\\video2\\my%20photo.png")
    assert labelme.open().records[0]["file_name"].endswith("My Photo.PNG")
    assert "1 x file name that is not written as the file's place" in caplog.text


def test_junk_is_no_json(labelme):
    labelme.write(square(1, 1, 5))
    for name in ("._a.json", ".ipynb_checkpoints/a-checkpoint.json", "__MACOSX/a.json"):
        labelme.write(square(9, 9, 5, "cat"), name=name)
    assert labelme.open().labels == ["dog"]


def test_jsons_of_other_programs_beside_those_of_labelme(tmp_path, caplog):
    """They are left out and named; a json that lost only its shapes stops."""
    labelme = TinyLabelMe(tmp_path / "photos").write(square(10, 10, 8))
    (labelme.folder / "config.json").write_text(json.dumps({"version": "1"}))
    assert labelme.open().num_samples == 1
    assert "1 x json file that is no LabelMe file, left out: config.json" in caplog.text
    (labelme.folder / "b.json").write_text(json.dumps({"imagePath": "a.png"}))
    with pytest.raises(DatasetError, match=r"b.json: not LabelMe's json"):
        labelme.open()
