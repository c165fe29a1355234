"""What holds for every operator that moves pixels, checked pixel by pixel; polygons at the border."""

import numpy as np
import pycocotools.mask as mask_util
import pytest
from detectron2.structures import PolygonMasks

from paddlex_maskrcnn.data.masks import clip_polygon, polygons_of_rle
from paddlex_maskrcnn.data.samples import seeded, to_instances
from paddlex_maskrcnn.data.transforms import (
    LargeScaleJitter,
    RandomCrop,
    RandomExpand,
    RandomHorizontalFlip,
    RandomRotate90,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    ResizeByShort,
)

OPERATORS = {
    "horizontal flip": RandomHorizontalFlip(1),
    "vertical flip": RandomVerticalFlip(prob=1),
    "quarter turn": RandomRotate90(prob=1),
    "rotation": RandomRotation(angle=40, prob=1),
    "rotation that grows": RandomRotation(angle=[20, 70], prob=1, expand=True),
    "half a turn": RandomRotation(angle=[180, 180], prob=1),
    "resize by short": ResizeByShort([90, 130], 300),
    "resize": Resize([150, 70]),
    "crop": RandomCrop(allow_no_crop=False),
    "expand": RandomExpand(2.5, 1, [0, 0, 0]),
    "jitter": LargeScaleJitter(target_size=[96, 72], min_scale=0.6),
}
SEEDS = range(6)


def run(operators, sample, seed):
    """The sample after some operators, with random numbers of its own."""
    with seeded(seed):
        for operator in operators if isinstance(operators, list) else [operators]:
            operator(sample)
    return sample


def iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


def bounds(mask):
    ys, xs = np.nonzero(mask)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


def objects_of(sample):
    return [annotation for annotation in sample.annotations() if not annotation.is_crowd]


@pytest.mark.parametrize("form", ["polygon", "rle"])
@pytest.mark.parametrize("name", OPERATORS)
def test_masks_and_boxes_lie_on_the_pixels_of_their_objects(name, form, sample):
    """Channel k of the picture is object k: the brute force reference of its mask and box."""
    seen = 0
    for seed in SEEDS:
        after = run(OPERATORS[name], sample(form), seed)
        for annotation in objects_of(after):
            seen += 1
            painted = after.image[:, :, annotation.category] > 127
            mask = annotation.rasterized(*after.size)
            assert painted.any()
            # A border of half a pixel may differ, more where the picture was enlarged.
            border = np.abs(np.diff(np.pad(painted, 1).astype(int), axis=0)).sum()
            border += np.abs(np.diff(np.pad(painted, 1).astype(int), axis=1)).sum()
            assert (painted ^ mask).sum() <= max(4, 0.4 * border), (seed, annotation.category)
            # The picture was painted before it was enlarged, the polygon is drawn after.
            assert np.abs(annotation.box - bounds(painted)).max() <= (4 if name == "jitter" else 2)
            assert (annotation.box >= 0).all()
            assert (annotation.box[2:] <= after.size[::-1]).all()
    assert seen >= len(SEEDS)


@pytest.mark.parametrize("name", ["horizontal flip", "vertical flip", "quarter turn", "crop"])
def test_what_only_moves_pixels_moves_rle_masks_exactly(name, sample):
    for seed in SEEDS:
        after = run(OPERATORS[name], sample("rle"), seed)
        for annotation in objects_of(after):
            painted = after.image[:, :, annotation.category] > 0
            np.testing.assert_array_equal(annotation.rasterized(*after.size), painted)


@pytest.mark.parametrize("name", OPERATORS)
def test_objects_that_the_picture_still_shows_are_kept(name, sample):
    """Only a crop drops objects that show: those whose centre it leaves out."""
    for seed in SEEDS:
        after = run(OPERATORS[name], sample("rle"), seed)
        shown = {k for k in range(3) if (after.image[:, :, k] > 127).sum() > 4}
        kept = {annotation.category for annotation in objects_of(after)}
        assert kept <= {k for k in range(3) if (after.image[:, :, k] > 0).any()}
        assert name == "crop" or shown <= kept


@pytest.mark.parametrize("form", ["polygon", "rle"])
@pytest.mark.parametrize("name", OPERATORS)
def test_crowd_regions_stay_as_long_as_they_show_and_stay_marked(name, form, sample):
    region = np.zeros((60, 80, 1), np.uint8)
    region[40:56, 4:34] = 255
    operator = RandomExpand(2.5, 1, [0]) if name == "expand" else OPERATORS[name]
    for seed in SEEDS:
        after = run(operator, sample(form, image=region), seed)
        crowd = [annotation for annotation in after.annotations() if annotation.is_crowd]
        shown = after.image[:, :, 0] > 127
        assert bool(crowd) == (shown.sum() > 0) or shown.sum() < 10
        instances = to_instances(after.annotations(), after.size)
        assert instances.has("gt_crowd") == bool(crowd)
        if crowd and shown.any():
            around = bounds(shown)
            low, high = crowd[0].box[:2], crowd[0].box[2:]
            assert (low <= around[:2] + 1.5).all()
            assert (high >= around[2:] - 1.5).all()
            if "rotation" not in name:  # there the box around the turned region is larger
                assert np.abs(crowd[0].box - around).max() <= 1.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 4, 6])
@pytest.mark.parametrize("name", OPERATORS)
def test_each_channel_goes_the_same_way(name, channels, dtype, sample):
    """The reference is the operator on one channel at a time, with the same random numbers."""
    operator = RandomExpand(2.5, 1, [0] * channels) if name == "expand" else OPERATORS[name]
    alone = RandomExpand(2.5, 1, [0]) if name == "expand" else OPERATORS[name]
    image = np.random.default_rng(0).integers(0, 255, (60, 80, channels)).astype(dtype)
    # OpenCV turns 1, 3 and 4 channels more finely than others.
    tolerance = 8 if "rotation" in name else 1.01
    together = run(operator, sample(image=image), 3).image
    assert together.dtype == dtype
    assert together.shape[2] == channels
    for k in range(channels):
        plane = run(alone, sample(image=image[:, :, k : k + 1]), 3).image
        np.testing.assert_allclose(together[:, :, k : k + 1].astype(float), plane, atol=tolerance)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_image_without_objects_goes_through(name, sample):
    empty = sample()
    empty.layers[0].dicts = []
    after = run(OPERATORS[name], empty, 1)
    instances = to_instances(after.annotations(), after.size)
    assert len(instances) == 0
    assert instances.gt_boxes.tensor.shape == (0, 4)
    assert isinstance(instances.gt_masks, PolygonMasks)
    if name in ("crop", "expand"):
        assert after.size == (60, 80)


@pytest.mark.parametrize("name", OPERATORS)
def test_prediction_never_draws(name):
    """What is left for prediction gives the same with every state of the random numbers."""
    left = OPERATORS[name].deterministic()
    assert (left is None) == (name not in ("resize", "resize by short", "jitter"))
    if left is not None:
        image = np.zeros((60, 80, 3), np.uint8)
        with seeded(1):
            first = left.get_transform(image).apply_image(image).shape
        with seeded(2):
            assert left.get_transform(image).apply_image(image).shape == first


@pytest.mark.parametrize("name", OPERATORS)
def test_a_probability_of_none_changes_nothing(name, sample):
    kind = type(OPERATORS[name])
    if "prob" not in OPERATORS[name].to_config():
        return
    before = sample()
    after = run(kind(prob=0), sample(), 1)
    np.testing.assert_array_equal(after.image, before.image)


CHAINS = {
    "what was cut off does not come back on the ground": [
        RandomCrop(allow_no_crop=False, scaling=[0.4, 0.6]),
        RandomExpand(2.5, 1, [0, 0, 0]),
    ],
    "what was turned out does not come back": [
        RandomRotation(angle=[40, 50], prob=1),
        RandomExpand(2.5, 1, [0, 0, 0]),
    ],
    "turned back": [
        RandomRotation(angle=[35, 35], prob=1),
        RandomRotation(angle=[-35, -35], prob=1, expand=True),
    ],
    "cut and jittered": [
        RandomCrop(allow_no_crop=False, scaling=[0.4, 0.6]),
        LargeScaleJitter(target_size=100, min_scale=0.5, max_scale=0.8),
    ],
    "all kinds": [*OPERATORS.values()][:5],
}


@pytest.mark.parametrize("form", ["polygon", "rle"])
@pytest.mark.parametrize("name", CHAINS)
def test_one_after_another(name, form, sample):
    seen = 0
    for seed in SEEDS:
        after = run(CHAINS[name], sample(form), seed)
        for annotation in objects_of(after):
            seen += 1
            painted = after.image[:, :, annotation.category] > 127
            mask = annotation.rasterized(*after.size)
            assert painted.sum() < 40 or iou(mask, painted) > 0.8
            assert painted.sum() < 40 or np.abs(annotation.box - bounds(painted)).max() <= 3
    assert seen >= len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [*OPERATORS, *CHAINS])
def test_rle_masks_and_their_outlines_as_polygons_end_alike(name, seed, sample, annotations):
    """The same random numbers, two forms of the same objects: boxes and corners are equal."""
    drawn = sample("rle")
    other = sample("rle")
    other.layers[0].dicts = traced = annotations("rle")
    for one in traced:
        outline = polygons_of_rle(one["segmentation"])
        one["segmentation"] = [points.reshape(-1).tolist() for points in outline]
    operators = CHAINS[name] if name in CHAINS else OPERATORS[name]
    first, second = (run(operators, one, seed).annotations() for one in (drawn, other))
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.box, b.box)
        for points, others in zip(a.polygons or [], b.polygons or [], strict=True):
            np.testing.assert_array_equal(points, others)


def drawn(points, height, width):
    if len(points) < 3:
        return np.zeros((height, width), bool)
    return mask_util.decode(mask_util.frPyObjects([points.ravel().tolist()], height, width)[0]) > 0


def star(rng, corners):
    """A polygon around the image that is seldom convex."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(5, 45, corners)
    center = rng.uniform(0, 40, 2)
    return center + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("corners", [3, 5, 12, 40])
def test_the_pixels_inside_stay_the_same(corners):
    """The reference draws the whole polygon on a larger ground and cuts the pixels."""
    rng = np.random.default_rng(corners)
    for _ in range(60):
        points = star(rng, corners)
        clipped = clip_polygon(points, 40, 40)
        expected = drawn(points + 60, 160, 160)[60:100, 60:100]
        found = drawn(clipped, 40, 40)
        assert (expected ^ found).sum() <= 0.03 * expected.sum() + 6
        assert (clipped >= 0).all()
        assert (clipped <= 40).all()


def test_what_is_inside_is_not_touched():
    points = np.array([[0.0, 0.0], [40.0, 5.0], [3.0, 30.0]])
    assert clip_polygon(points, 30, 40) is points


def test_what_is_outside_is_nothing():
    points = np.array([[50.0, 0.0], [60.0, 5.0], [55.0, 30.0]])
    assert clip_polygon(points, 40, 40).shape == (0, 2)


def test_a_half_is_exact():
    square = np.array([[-10.0, 10.0], [10.0, 10.0], [10.0, 20.0], [-10.0, 20.0]])
    clipped = clip_polygon(square, 40, 40)
    assert sorted(clipped.tolist()) == [[0, 10], [0, 20], [10, 10], [10, 20]]
