"""PaddlePaddle's binary form of a variable; the two hexadecimal files are paddlepaddle 1.8.5's own."""

import io
import re

import numpy as np
import pytest

from paddlex_maskrcnn.weights.paddle_variable import read_variable
from reference.paddle_format import variable

# fluid.io.save_vars of a (2, 3) parameter 0 ... 5, and of the step counter of its optimizer
PARAMETER = bytes.fromhex(
    "0000000000000000000000000000000006000000080510021003"
    "000000000000803f0000004000004040000080400000a040"
)
COUNTER = bytes.fromhex("0000000000000000000000000000000004000000080310010000000000000000")


def read(content):
    return read_variable(io.BytesIO(content), "fc6_w")


def test_files_of_paddle_itself():
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(read(PARAMETER), expected)
    assert read(PARAMETER).dtype == np.float32
    assert read(COUNTER).tolist() == [0]
    assert read(COUNTER).dtype == np.int64
    assert variable(expected) == PARAMETER, "the writer of the other tests"


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (300,), (2, 3, 1, 130), ()])
def test_round_trip(dtype, shape):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    found = read(variable(array, lod=((0, 2, 5), (0, 1))))
    np.testing.assert_array_equal(found, array)
    assert found.shape == shape
    assert found.dtype == dtype


@pytest.mark.parametrize("end", [0, 3, 12, 17, 22, 26, len(PARAMETER) - 1])
def test_a_file_that_is_cut_off(end):
    with pytest.raises(ValueError, match=r"fc6_w is damaged: (it ends|it has .* bytes of data)"):
        read(PARAMETER[:end])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, 7, "is no PaddlePaddle variable"),
        (4, 200, "is damaged: a length of 200"),
        (12, 1, "of a later version"),
        (19, 127, re.escape("is damaged: a length of 2130706438")),
        (20, 0x1A, "its description is not of a tensor"),
        (21, 7, "values of Paddle's type 7"),
        (23, 9, "it has 24 bytes of data, not 108"),
    ],
)
def test_damaged_bytes(place, value, message):
    content = bytearray(PARAMETER)
    content[place] = value
    with pytest.raises(ValueError, match=message):
        read(bytes(content))


def test_more_than_its_data():
    with pytest.raises(ValueError, match="it has 25 bytes of data, not 24"):
        read(PARAMETER + b"\0")
