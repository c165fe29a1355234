import numpy as np
import pytest
from detectron2.data import transforms as d2

from paddlex_maskrcnn.data.transforms import RandomHorizontalFlip

IMAGE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def test_always_and_never():
    mirrored = RandomHorizontalFlip(1).get_transform(IMAGE)
    np.testing.assert_array_equal(mirrored.apply_image(IMAGE), IMAGE[:, ::-1])
    np.testing.assert_array_equal(mirrored.apply_coords(np.array([[1.0, 2.0]])), [[5.0, 2.0]])
    same = RandomHorizontalFlip(0).get_transform(IMAGE)
    assert isinstance(same, d2.NoOpTransform)


def test_probability():
    np.random.seed(0)
    op = RandomHorizontalFlip(0.3)
    flips = sum(isinstance(op.get_transform(IMAGE), d2.HFlipTransform) for _ in range(2000))
    assert 530 < flips < 670


@pytest.mark.parametrize("prob", [-0.1, 1.1, "0.5", None, True, float("nan")])
def test_mistakes(prob):
    with pytest.raises(ValueError, match="RandomHorizontalFlip: prob must be a number from 0 to 1"):
        RandomHorizontalFlip(prob)
