"""Unpickling of files a user may have downloaded: arrays and containers only, never code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

_ADMITTED = {
    ("collections", "OrderedDict"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
    # paddle.save of tensors outside a network: pairs of name and array
    ("builtins", "tuple"),
    ("__builtin__", "tuple"),
}


class _ForbiddenError(pickle.UnpicklingError):
    """The pickle asks for something that is not on the list."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise _ForbiddenError(f"it wants to run {module}.{name}")
        return super().find_class(module, name)


def load_arrays(path: Path) -> Any:
    """What a pickle of numpy arrays and containers holds.

    Raises:
        ValueError: when it is no pickle, is damaged, or holds anything that could run code.
    """
    with path.open("rb") as file:
        return read_arrays(file, str(path))


def read_arrays(file: BinaryIO, name: str) -> Any:
    """As `load_arrays`, of an open file.

    Args:
        name: what the file is called in messages.
    """
    try:
        return _ArraysOnly(file, encoding="latin1").load()
    except _ForbiddenError as error:
        raise ValueError(
            f"{name} is refused: a weight file may hold arrays and containers only, but {error}"
        ) from error
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        raise ValueError(f"{name} is refused: it is damaged or no pickle ({error})") from error
