import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex_maskrcnn.data.images import read_image
from paddlex_maskrcnn.data.mapper import (
    Reduction,
    TestMapper,
    TrainMapper,
    read_reduced,
    reduction_factor,
)
from paddlex_maskrcnn.data.transforms import (
    CLAHE,
    Compose,
    CopyPaste,
    LargeScaleJitter,
    RandomBlur,
    RandomCrop,
    RandomDistort,
    RandomExpand,
    RandomHorizontalFlip,
    RandomRotate90,
    Resize,
    ResizeByShort,
)

ORIENTATION = 274
SHORT = ResizeByShort(100, 0)


def picture(height, width):
    """Smooth, so that decoders hardly differ, and different in every corner."""
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    red = 40 + 170 * xs / width
    green = 40 + 170 * ys / height
    blue = 128 + 80 * np.sin(xs / 40) * np.cos(ys / 30)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def write(path, pixels, orientation=1):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, quality=97, subsampling=0, exif=exif)
    return str(path)


def record(path, height, width, annotations=()):
    return {
        "file_name": str(path), "height": height, "width": width, "image_id": 1,
        "annotations": list(annotations),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("operators", "size", "factor"),
    [
        ([SHORT], (199, 300), 1),
        ([SHORT], (200, 300), 2),
        ([SHORT], (300, 200), 2),
        ([SHORT], (399, 399), 2),
        ([SHORT], (400, 500), 4),
        ([SHORT], (5000, 5000), 8),
        ([ResizeByShort([50, 100], 0)], (399, 400), 2),
        ([ResizeByShort(100, 120)], (400, 960), 8),
        ([RandomHorizontalFlip(), RandomExpand(), SHORT], (200, 300), 2),
        ([RandomRotate90(), SHORT], (400, 200), 2),
        ([RandomCrop(scaling=[0.5, 1], aspect_ratio=[1, 1]), SHORT], (400, 400), 2),
        ([RandomCrop(scaling=[0.5, 1], aspect_ratio=[1, 1]), SHORT], (390, 390), 1),
        ([LargeScaleJitter(target_size=100, max_scale=2)], (800, 800), 4),
        ([Resize([100, 50])], (200, 150), 1),
        ([Resize([100, 50])], (200, 200), 2),
        ([CLAHE(), SHORT], (200, 300), 2),
        ([SHORT, RandomBlur(), CopyPaste()], (200, 300), 2),
        ([RandomBlur(), SHORT], (800, 800), 1),  # a blur of two pixels is measured in the file's
        ([CopyPaste(), SHORT], (800, 800), 1),  # two files, two factors
        ([RandomHorizontalFlip()], (800, 800), 1),
        ([], (800, 800), 1),
    ],
)
def test_never_smaller_than_what_the_operators_need(operators, size, factor):
    assert reduction_factor(operators, *size) == factor


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(256, 320), (243, 333), (200, 201)])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_decoder_gives_the_mean_of_every_square(tmp_path, factor, size, orientation):
    """The reference is the file read in full, reduced by hand; squares at the border included."""
    path = write(tmp_path / "a.jpg", picture(*size), orientation)
    full = read_image(path, "RGB")
    height, width = full.shape[:2]
    operators = [ResizeByShort(min(height, width) // factor, 0)]
    image, reduction = read_reduced(record(path, height, width), operators, "RGB")
    assert reduction.factor == factor
    expected = reduction.apply_image(full)
    assert image.shape == expected.shape
    assert image.flags.c_contiguous
    error = np.abs(image.astype(int) - expected)
    assert error.mean() < 1
    assert error[1:-1, 1:-1].max() <= 6
    bgr, _ = read_reduced(record(path, height, width), operators, "BGR")
    np.testing.assert_array_equal(bgr[:, :, ::-1], image)


@pytest.mark.parametrize("offset", [(0, 0), (1, 3)])
def test_points_and_masks_move_with_the_squares(offset):
    """A point in the middle of a square lands in the middle of its pixel."""
    reduction = Reduction(4, (30, 41), offset)
    assert reduction.new_size == (8, 11)
    middles = np.array([[2.0, 2.0], [10.0, 26.0]])
    moved = reduction.apply_coords(middles - offset[::-1])
    np.testing.assert_allclose(moved, [[0.5, 0.5], [2.5, 6.5]])
    mask = np.random.default_rng(0).random((30, 41)) > 0.5
    found = reduction.apply_segmentation(mask)
    for row in range(8):
        for column in range(11):
            y = min(max(4 * row + 2 - offset[0], 0), 29)
            x = min(max(4 * column + 2 - offset[1], 0), 40)
            assert found[row, column] == mask[y, x]


def test_annotations_for_the_stored_pixels_are_kept_with_them(tmp_path):
    """Where the record has the size of the file without its orientation, as `read_image` does."""
    path = write(tmp_path / "a.jpg", picture(240, 320), 6)
    upright, _ = read_reduced(record(path, 320, 240), [SHORT], "RGB")
    stored, reduction = read_reduced(record(path, 240, 320), [SHORT], "RGB")
    assert upright.shape == (160, 120, 3)
    assert stored.shape == (120, 160, 3)
    assert reduction.offset == (0, 0)
    np.testing.assert_array_equal(np.rot90(stored, -1), upright)


def test_what_is_no_large_jpeg_is_read_in_full(tmp_path):
    pixels = picture(240, 320)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    np.save(tmp_path / "a.npy", pixels)
    path = write(tmp_path / "a.jpg", pixels)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    for name in ("a.png", "a.npy", "cut.jpg", "missing.jpg"):
        assert read_reduced(record(tmp_path / name, 240, 320), [SHORT], "RGB") is None
    assert read_reduced(record(path, 240, 300), [SHORT], "RGB") is None
    assert read_reduced(record(path, 240, 320), [ResizeByShort(200, 0)], "RGB") is None


def test_mistakes_are_those_of_the_full_reader(tmp_path):
    path = write(tmp_path / "a.jpg", picture(240, 320))
    mapper = TrainMapper(Compose([SHORT]), "RGB", 3, 0)
    with pytest.raises(ValueError, match=r"a\.jpg' is 320x240 .* say 300x240: was the file chan"):
        mapper(record(path, 240, 300), 0, 0)
    with pytest.raises(FileNotFoundError):
        mapper(record(tmp_path / "missing.jpg", 240, 320), 0, 0)


def scene_with_objects(tmp_path, height, width, orientation):
    """A photograph with a white box and a white triangle; their polygons, upright."""
    upright = np.full((height, width, 3), 30, np.uint8)
    shapes = [
        np.array([[8, 8], [width // 2, 8], [width // 2, height // 3], [8, height // 3]]),
        np.array([[width - 12, height // 2], [width - 9, height - 12], [width // 3, height - 10]]),
    ]
    for shape in shapes:
        cv2.fillPoly(upright, [shape], (255, 255, 255))
    turn = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    path = write(tmp_path / f"{orientation}.jpg", np.rot90(upright, turn).copy(), orientation)
    annotations = [
        {
            "bbox": [*shape.min(axis=0).tolist(), *np.ptp(shape, axis=0).tolist()],
            "bbox_mode": 1, "iscrowd": 0, "category_id": k,
            "segmentation": [shape.astype(float).ravel().tolist()],
        }
        for k, shape in enumerate(shapes)
    ]  # fmt: skip
    return record(path, height, width, annotations)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(1200, 1600), (1203, 1597)])
def test_training_sees_the_same_objects_in_the_same_places(tmp_path, size, orientation):
    one = scene_with_objects(tmp_path, *size, orientation)
    pipeline = Compose([RandomHorizontalFlip(1), ResizeByShort(300, 500)])
    reduced = TrainMapper(pipeline, "RGB", 3, 0)(one, 0, 0)
    full = TrainMapper(pipeline, "RGB", 3, 0, reads_reduced=False)(one, 0, 0)
    assert (reduced["height"], reduced["width"]) == size
    shapes = [sample["image"].shape for sample in (reduced, full)]
    assert np.abs(np.subtract(*shapes)).max() <= 1
    boxes = [sample["instances"].gt_boxes.tensor.numpy() for sample in (reduced, full)]
    # Squares over the border make the picture up to three of the file's pixels larger.
    assert np.abs(boxes[0] - boxes[1]).max() < (0.1 if size[1] % 4 == 0 else 1.1)
    pixels = reduced["image"].numpy().transpose(1, 2, 0)
    for box in boxes[0]:
        x1, y1, x2, y2 = np.round(box).astype(int)
        light = pixels[y1 : y2 + 1, x1 : x2 + 1].max(axis=2) > 140
        ys, xs = np.nonzero(light)
        found = [x1 + xs.min(), y1 + ys.min(), x1 + xs.max() + 1, y1 + ys.max() + 1]
        assert np.abs(found - box).max() <= 1.5


def test_evaluation_reads_every_pixel(tmp_path):
    one = scene_with_objects(tmp_path, 1200, 1600, 1)
    found = TestMapper(Compose([SHORT]), "RGB", 3)(one)["image"].numpy().transpose(1, 2, 0)
    full = read_image(one["file_name"], "RGB")
    np.testing.assert_array_equal(found, SHORT.get_transform(full).apply_image(full))


def test_photographs_are_never_copied_as_floats(tmp_path):
    """A float copy alone would take four times the bytes of the file's pixels."""
    height, width = 1100, 1500
    path = write(tmp_path / "a.jpg", picture(height, width))
    pipeline = Compose(
        [RandomDistort(), RandomHorizontalFlip(1), RandomCrop(), ResizeByShort(600, 1000)]
    )
    mapper, peaks = TrainMapper(pipeline, "RGB", 3, 0), []
    for epoch in range(6):
        tracemalloc.start()
        mapper(record(path, height, width), epoch, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 3 * height * width * 3
