"""What all operators share, and what they may know of a run."""

from paddlex_maskrcnn.data.transforms import TRANSFORMS, Operator, Padding
from paddlex_maskrcnn.data.transforms.operator import ImageContext


def test_every_operator_of_the_table_round_trips_with_its_defaults():
    for name, operator in TRANSFORMS.items():
        if name != "ComposedRCNNTransforms":
            config = operator().to_config()
            assert operator(**config).to_config() == config, name


def test_an_operator_of_a_user_s_own_has_the_same_form():
    class Brighter(Operator):
        def __init__(self, gain: float, sides: tuple[int, int] = (1, 2)) -> None:
            self.gain, self.sides = gain, sides

    operator = Brighter(2.0)
    assert operator.to_config() == {"gain": 2.0, "sides": [1, 2]}
    assert repr(operator) == "Brighter(gain=2.0, sides=[1, 2])"
    assert operator.deterministic() is operator
    assert operator.largest_zoom(10, 20) is None
    assert operator.smallest_size(10, 20) == (10, 20)


def test_an_operator_is_shown_as_it_is_written():
    assert repr(Padding(32)) == "Padding(coarsest_stride=32, target_size=None)"


def test_colours_are_given_as_rgb_and_painted_in_the_image_s_order():
    rgb, bgr = ImageContext("RGB", mean=(1.0, 2.0, 3.0)), ImageContext("BGR", mean=(1.0, 2.0, 3.0))
    assert rgb.fill(None) == [1, 2, 3]
    assert bgr.fill(None) == [3, 2, 1]
    assert bgr.fill([7, 8, 9]) == [9, 8, 7]
    assert ImageContext("BGR", 4).in_image_order([1, 2, 3, 4]) == [3, 2, 1, 4]
    assert ImageContext("BGR", 2).in_image_order([1, 2]) == [1, 2]
