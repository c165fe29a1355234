"""One variable in PaddlePaddle's own binary form, as `fluid.io.save_vars` writes a file.

Source: Paddle 1.8, framework/lod_tensor.cc `SerializeToStream`, framework/tensor_util.cc
`TensorToStream`, and the message `VarType.TensorDesc` of framework.proto. All numbers are little-endian:
uint32 version 0; uint64 number of LoD levels, each with a uint64 size and its content; uint32 version 0
of the tensor; int32 size of the description; the description; the raw data.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

_DTYPES = {2: "<i4", 3: "<i8", 4: "<f2", 5: "<f4", 6: "<f8"}  # VarType.Type -> numpy
_MOST_LEVELS, _MOST_LEVEL_BYTES, _MOST_DESCRIPTION_BYTES = 8, 1 << 20, 1 << 10


def read_variable(file: IO[bytes], name: str) -> NDArray:
    """The array of a whole file.

    Args:
        file: at its first byte.
        name: what the file is called in messages.

    Raises:
        ValueError: when it is no such file, is cut off or goes on after the data.
    """
    reader = _Reader(file, name)
    if reader.number("<I") != 0:
        raise ValueError(f"{name} is no PaddlePaddle variable (it does not begin with version 0)")
    for _ in range(reader.number("<Q", _MOST_LEVELS)):
        reader.take(reader.number("<Q", _MOST_LEVEL_BYTES))
    if reader.number("<I") != 0:
        raise ValueError(f"{name} is of a later version of PaddlePaddle's tensor format")
    description = reader.take(reader.number("<i", _MOST_DESCRIPTION_BYTES))
    dtype, shape = _type_and_shape(description, name)
    data, wanted = file.read(), math.prod(shape) * np.dtype(dtype).itemsize
    if len(data) != wanted:
        raise ValueError(f"{name} is damaged: it has {len(data)} bytes of data, not {wanted}")
    return np.frombuffer(data, dtype).reshape(shape)


class _Reader:
    """Numbers and bytes of a file, with a ValueError when it ends too early."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name

    def take(self, size: int) -> bytes:
        taken = self._file.read(size)
        if len(taken) != size:
            raise ValueError(f"{self._name} is damaged: it ends after its first {len(taken)} bytes")
        return taken

    def number(self, form: str, most: int | None = None) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        if most is not None and not 0 <= value <= most:
            raise ValueError(f"{self._name} is damaged: a length of {value}")
        return value


def _type_and_shape(description: bytes, name: str) -> tuple[str, tuple[int, ...]]:
    """What a TensorDesc says: pairs of a field's tag and a number, the type once, each dimension."""
    numbers = list(_varints(description))
    fields = list(zip(numbers[::2], numbers[1::2], strict=False))
    types = [value for tag, value in fields if tag == 0x08]
    if len(numbers) % 2 or len(types) != 1 or any(tag not in (0x08, 0x10) for tag, _ in fields):
        raise ValueError(f"{name} is damaged: its description is not of a tensor")
    if types[0] not in _DTYPES:
        raise ValueError(f"{name} has values of Paddle's type {types[0]}, which no parameter has")
    return _DTYPES[types[0]], tuple(value for tag, value in fields if tag == 0x10)


def _varints(message: bytes) -> Iterator[int]:
    """Numbers of seven bits a byte, lowest first; the last byte of each has its high bit clear."""
    number = shift = 0
    for byte in message:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
