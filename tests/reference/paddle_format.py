"""PaddlePaddle 1.8's weight files, written straight from the description of the format.

`write_variable` gives the same bytes as `fluid.io.save_vars` of paddlepaddle 1.8.5: see
tests/weights/test_paddle_files.py, which holds two files that it wrote.
"""

import pickle
import struct
from pathlib import Path

import numpy as np

TYPES = {"int32": 2, "int64": 3, "float16": 4, "float32": 5, "float64": 6}


def varint(number: int) -> bytes:
    """Seven bits a byte, lowest first, all but the last with the high bit set."""
    out = b""
    while number >= 0x80:
        out += bytes([number % 0x80 + 0x80])
        number //= 0x80
    return out + bytes([number])


def variable(array: np.ndarray, lod: tuple[tuple[int, ...], ...] = ()) -> bytes:
    """The bytes of one variable's file."""
    out = struct.pack("<IQ", 0, len(lod))
    for level in lod:
        out += struct.pack("<Q", 8 * len(level)) + struct.pack(f"<{len(level)}Q", *level)
    description = b"\x08" + varint(TYPES[str(array.dtype)])
    for size in array.shape:
        description += b"\x10" + varint(size)
    return out + struct.pack("<Ii", 0, len(description)) + description + array.tobytes()


def write_folder(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    """One file a variable."""
    folder.mkdir()
    for name, array in arrays.items():
        (folder / name).write_bytes(variable(array))
    return folder


def write_pdparams(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """One pickle of protocol 2, as `fluid.save`."""
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    return path
