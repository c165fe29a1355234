"""Methods that take parameters: how arguments are given, and what errors say."""

import inspect
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pytest

from paddlex_maskrcnn.config.check import ConfigError
from paddlex_maskrcnn.config.params import REQUIRED, param
from paddlex_maskrcnn.config.signature import from_checked, takes_params


@dataclass(kw_only=True)
class BoxParams:
    """A class for these tests."""

    width: int = param(REQUIRED, "Pixels.", at_least=1)
    sides: list[float] = param([1.0, 2.0], "Pixels.", entries=("lowest", "highest"), ordered=True)
    name: str | None = param(None, "A text.", extra=True)

    def broken_rules(self):
        if self.sides[1] > self.width:
            yield "sides", f"is {self.sides}; numbers up to width, {self.width}, are needed"


class Box:
    @takes_params(BoxParams, "Box")
    def __init__(self, params: BoxParams, given: Collection[str]) -> None:
        """A box."""
        self.params, self.given = params, set(given)

    @takes_params(BoxParams)
    def grow(self, params: BoxParams) -> int:
        return params.width


def test_the_signature_is_that_of_the_rows():
    expected = "(width: int, sides: list[float] = [1.0, 2.0], *, name: str | None = None)"
    assert str(inspect.signature(Box)) == expected
    assert Box.__init__.__doc__.startswith("A box.\n\nArgs:\n    width: Pixels.")


def test_arguments_by_position_and_by_name():
    box = Box(4, name="a")
    assert box.params == BoxParams(width=4, name="a")
    assert box.given == {"width", "name"}
    assert box.grow(np.int64(3)) == 3
    assert box.params.sides is not Box(4).params.sides


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((0,), {}, "Box.width is 0; allowed: >= 1"),
        ((), {}, "Box.width is missing; it has no default"),
        ((3,), {"heigth": 1}, "Box.heigth is not a known key; choose one of width, sides, name"),
        ((3,), {"nam": "a"}, "Box.nam is not a known key; did you mean 'name'?"),
        ((3, [1, 9]), {}, "Box.sides is [1.0, 9.0]; numbers up to width, 3, are needed"),
        ((3, [2, 1]), {}, "Box.sides is [2.0, 1.0]; allowed: [lowest, highest]"),
        ((3, 5.5), {}, "Box.sides is 5.5; allowed: a list of numbers, [lowest, highest]"),
        ((np.ones(2),), {}, "Box.width is array([1., 1.]); allowed: a whole number, >= 1"),
        ((10**400,), {}, f"Box.width is {10**400}; allowed: a whole number, >= 1"),
        ((True,), {}, "Box.width is True; allowed: a whole number, >= 1"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_named(args, kwargs, message):
    with pytest.raises(ConfigError) as caught:
        Box(*args, **kwargs)
    assert str(caught.value) == message


def test_all_bad_arguments_are_named_at_once():
    with pytest.raises(ConfigError, match=r"2 problems\n  Box\.width .*\n  Box\.sides "):
        Box(0, [1])
    with pytest.raises(ConfigError, match=r"^width is 0"):
        Box(1, [1, 1]).grow(0)


def test_misuse_of_positions():
    with pytest.raises(TypeError, match=r"Box got 3 .* by position; allowed: 2 \(width, sides\)"):
        Box(3, [1, 2], "a")
    with pytest.raises(TypeError, match="Box got width twice, by position and by name"):
        Box(3, width=4)


def test_what_is_checked_already_is_not_checked_again():
    params = BoxParams(width=-1)
    box = from_checked(Box, params, {"width"})
    assert type(box) is Box
    assert box.params is params
    assert box.given == {"width"}
