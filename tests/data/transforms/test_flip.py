import numpy as np
import pytest
from detectron2.data import transforms as d2

from paddlex_maskrcnn.data.transforms import RandomHorizontalFlip, RandomVerticalFlip
from paddlex_maskrcnn.data.transforms.operator import ImageContext

IMAGE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
LABELS = ("left_shoe", "hat", "right_shoe")


def test_always_and_never():
    mirrored = RandomHorizontalFlip(1).get_transform(IMAGE)
    np.testing.assert_array_equal(mirrored.apply_image(IMAGE), IMAGE[:, ::-1])
    np.testing.assert_array_equal(mirrored.apply_coords(np.array([[1.0, 2.0]])), [[5.0, 2.0]])
    upside_down = RandomVerticalFlip(prob=1).get_transform(IMAGE)
    np.testing.assert_array_equal(upside_down.apply_image(IMAGE), IMAGE[::-1])
    np.testing.assert_array_equal(upside_down.apply_coords(np.array([[1.0, 3.0]])), [[1.0, 1.0]])
    for never in (RandomHorizontalFlip(0), RandomVerticalFlip(prob=0)):
        assert isinstance(never.get_transform(IMAGE), d2.NoOpTransform)


def test_probability():
    np.random.seed(0)
    op = RandomHorizontalFlip(0.3)
    flips = sum(isinstance(op.get_transform(IMAGE), d2.HFlipTransform) for _ in range(2000))
    assert 530 < flips < 670


@pytest.mark.parametrize("kind", [RandomHorizontalFlip, RandomVerticalFlip])
@pytest.mark.parametrize("form", ["polygon", "rle"])
def test_classes_change_places_with_the_mirror_and_only_with_it(kind, form, sample):
    swaps = [["left_shoe", "right_shoe"]]
    mirrored = sample(form, labels=LABELS)
    kind(prob=1, swap_labels=swaps)(mirrored)
    assert [item.category for item in mirrored.annotations()] == [2, 1, 0, 2]  # crowd too
    kept = sample(form, labels=LABELS)
    kind(prob=0, swap_labels=swaps)(kept)
    assert [annotation.category for annotation in kept.annotations()] == [0, 1, 2, 0]
    kind(prob=1, swap_labels=swaps)(mirrored)
    assert [annotation.category for annotation in mirrored.annotations()] == [0, 1, 2, 0]


def test_swapped_names_are_kept_with_the_model():
    config = RandomHorizontalFlip(0.25, swap_labels=(("a", "b"),)).to_config()
    assert config == {"prob": 0.25, "swap_labels": [["a", "b"]]}
    assert RandomHorizontalFlip(**config).to_config() == config


def test_names_are_checked_against_the_classes():
    flip = RandomHorizontalFlip(swap_labels=[["left_sheo", "right_shoe"]])
    with pytest.raises(
        ValueError,
        match=r"Flip\.swap_labels is .*; 'left_sheo' is no class, .* did you mean 'left_shoe'",
    ):
        flip.check(ImageContext(labels=LABELS))
    with pytest.raises(
        ValueError, match=r"swap_labels is \[.*; a data set with class names is needed"
    ):
        flip.check(ImageContext())
    RandomHorizontalFlip(swap_labels=[["left_shoe", "right_shoe"]]).check(
        ImageContext(labels=LABELS)
    )
    RandomHorizontalFlip().check(ImageContext())


@pytest.mark.parametrize("prob", [-0.1, 1.1, "0.5", None, True, float("nan")])
def test_mistakes(prob):
    with pytest.raises(ValueError, match=r"RandomHorizontalFlip\.prob is .*; .*>= 0 and <= 1"):
        RandomHorizontalFlip(prob)


@pytest.mark.parametrize("swaps", [[], "ab", [["a"]], [["a", 3]], [["a", "b"], ["b", "c"]], [1]])
def test_pairs_that_are_none(swaps):
    with pytest.raises(ValueError, match=r"RandomVerticalFlip\.swap_labels is "):
        RandomVerticalFlip(swap_labels=swaps)
