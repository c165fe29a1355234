"""Pickles of a stranger: arrays and containers only. Other files: test_source.py."""

import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from paddlex_maskrcnn.weights.readers import read_file, unpickle_arrays


def write(tmp_path, content):
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(protocol):
    content = OrderedDict(a=np.arange(6.0).reshape(2, 3), b=[np.float32(2), (1, "x")])
    unpickled = unpickle_arrays(io.BytesIO(pickle.dumps(content, protocol)), "x")
    np.testing.assert_array_equal(unpickled["a"], content["a"])
    assert unpickled["b"] == content["b"]


def test_a_pickle_of_python_2():
    """Its strings are bytes there: `{'w': 'caf\\xe9'}`."""
    assert unpickle_arrays(io.BytesIO(b"(dp0\nS'w'\np1\nS'caf\\xe9'\np2\ns."), "x") == {"w": "café"}


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("bomb", "shown"),
    [
        (Call(exec, "raise SystemExit('went off')"), r"builtins\.exec"),
        (Call(os.system, "true"), r"(posix|nt)\.system"),
        (Call(getattr, "x", "upper"), r"builtins\.getattr"),
        (Call(np.load, "x.npy", None, True), r"numpy\.load"),
    ],
)
def test_bombs_are_refused_before_they_run(tmp_path, bomb, shown):
    with pytest.raises(ValueError, match=f"is refused: .* but it wants to run {shown}"):
        read_file(write(tmp_path, pickle.dumps({"model": [bomb]})))


@pytest.mark.parametrize("end", [0, 1, 5, 40, 100])
def test_damage_is_told_as_damage(tmp_path, end):
    content = pickle.dumps({"a": np.arange(6.0), "b": "x" * 100}, protocol=2)
    with pytest.raises(ValueError, match=r"weights\.pkl is refused: it is damaged or no pickle"):
        read_file(write(tmp_path, content[:end]))
