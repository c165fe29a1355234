import pytest

from paddlex_maskrcnn.data.transforms import Padding


@pytest.mark.parametrize("stride", [1, 7, 32])
def test_stride_gives_the_next_multiple(stride):
    for side in range(1, 100):
        padded, same = Padding(stride).padded_size(side, stride)
        assert padded % stride == 0
        assert 0 <= padded - side < stride
        assert same == stride


def test_target_wins_and_is_width_then_height():
    assert Padding(32, [60, 50]).padded_size(50, 60) == (50, 60)
    assert Padding(32, 70).padded_size(50, 60) == (70, 70)


@pytest.mark.parametrize("size", [(51, 60), (50, 61)])
def test_larger_image_than_target(size):
    with pytest.raises(ValueError, match=r"Padding\.target_size is \[60, 50\] .*, smaller"):
        Padding(target_size=[60, 50]).padded_size(*size)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"coarsest_stride": 0}, "coarsest_stride is 0; allowed: >= 1"),
        ({"coarsest_stride": 32.5}, "coarsest_stride"),
        ({"target_size": 0}, "target_size is 0; allowed: >= 1"),
        ({"target_size": [640]}, "target_size"),
        ({"target_size": [640, -1]}, "target_size"),
        ({"target_size": "640"}, "target_size"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=rf"Padding\.{fragment}"):
        Padding(**arguments)
