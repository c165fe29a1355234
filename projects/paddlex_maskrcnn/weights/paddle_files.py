"""Weight files of PaddlePaddle 1.x, without PaddlePaddle.

What: `model.pdparams` (one pickle of name -> array, as `fluid.save` and `paddle.save` write it), and
folders or tar archives with one file a variable, in the binary form of `fluid.io.save_vars`.
Archives are read in memory and nothing of them is written, so no path in them can lead anywhere.
Source: Paddle 1.8, framework/lod_tensor.cc `SerializeToStream`, framework/tensor_util.cc
`TensorToStream`, and the message `VarType.TensorDesc` of framework.proto.
"""

from __future__ import annotations

import math
import re
import struct
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .readers import unpickle_arrays

PARAMETERS = "model.pdparams"
# first convolution of plain and deep stems and of HRNet
_FIRST_VARIABLES = ("conv1_weights", "conv1_1_weights", "layer1_1_weights")
INFERENCE = ("__model__", "__params__")
_MOST_BYTES = 4 << 30  # of an unpacked archive; the largest network here has a tenth of it
# what an optimizer leaves beside the parameters
_OPTIMIZER = re.compile(
    r".*_(velocity|moment[12]?|beta[12]_pow_acc)_\d+|learning_rate.*|@LR_DECAY_COUNTER@"
)
_OTHER_SUFFIXES = {".md", ".txt", ".yml", ".yaml", ".json", ".pdopt", ".pdmodel"}
_ARCHIVE = re.compile(r".*\.(tar|tgz|tar\.gz)")


def is_paddle(path: Path) -> bool:
    """Whether a path can only be PaddlePaddle's: a folder, a tar archive or a .pdparams file."""
    name = path.name
    return path.is_dir() or name.endswith(".pdparams") or _ARCHIVE.fullmatch(name) is not None


def is_paddle_folder(path: Path) -> bool:
    """Whether a path is a folder with PaddlePaddle's parameters of one of our networks."""
    return any((path / name).is_file() for name in (PARAMETERS, *_FIRST_VARIABLES))


def read_paddle(path: Path) -> dict[str, NDArray]:
    """Arrays by Paddle's variable names; what belongs to an optimizer is left out.

    Raises:
        ValueError: when it is none of the forms above, or is damaged; names the file.
    """
    if path.is_dir():
        arrays = _read_folder(path)
    elif path.suffix == ".pdparams":
        with path.open("rb") as file:
            arrays = _read_pickle(file, str(path))
    else:
        arrays = _read_archive(path)
    arrays = {name: array for name, array in arrays.items() if not _OPTIMIZER.fullmatch(name)}
    if not arrays:
        raise ValueError(
            f"{path} has no PaddlePaddle parameters in it ({PARAMETERS}, or one file a variable)"
        )
    return arrays


def _read_folder(folder: Path) -> dict[str, NDArray]:
    if (folder / PARAMETERS).is_file():
        return read_paddle(folder / PARAMETERS)
    refuse_inference((path.name for path in folder.iterdir()), str(folder))
    arrays = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and _may_be_variable(path.name):
            with path.open("rb") as file:
                arrays[path.name] = read_variable(file, str(path))
    return arrays


def _read_pickle(file: IO[bytes], name: str) -> dict[str, NDArray]:
    content = unpickle_arrays(file, name)
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds {type(content).__name__}, not names and arrays")
    pairs = ((str(key), _array(value)) for key, value in content.items())
    return {key: array for key, array in pairs if array is not None}


def _array(value: Any) -> NDArray | None:
    """The array of a plain entry, or of a pair (name, array) as newer versions write them."""
    if isinstance(value, tuple) and len(value) == 2:
        value = value[1]
    return value if isinstance(value, np.ndarray) else None


def _read_archive(path: Path) -> dict[str, NDArray]:
    try:
        with tarfile.open(path) as archive:
            return _read_members(archive, path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a tar archive ({error})") from error


def _read_members(archive: tarfile.TarFile, path: Path) -> dict[str, NDArray]:
    arrays: dict[str, NDArray] = {}
    for name, shown, file in _files(archive, path):
        if name == PARAMETERS:
            return _read_pickle(file, shown)
        refuse_inference([name], str(path))
        if name in arrays:
            raise ValueError(f"{path} has {name} twice")
        arrays[name] = read_variable(file, shown)
    return arrays


def _files(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[str, str, IO[bytes]]]:
    """Last part of the name, name for messages, and content of each file that may be a variable."""
    total = 0
    for member in archive:
        name = PurePosixPath(member.name).name
        if member.isdir() or not _may_be_variable(name):
            continue
        if not member.isreg():
            raise ValueError(f"{path} is refused: {member.name} in it is a link or a device")
        total += member.size
        if total > _MOST_BYTES:
            raise ValueError(f"{path} is refused: it unpacks to more than 4 GiB")
        file = archive.extractfile(member)
        assert file is not None  # it is a regular file
        yield name, f"{member.name} in {path}", file


def refuse_inference(names: Iterable[str], where: str) -> None:
    """Raise ValueError when there is a model exported for inference among the names."""
    exported = next((name for name in names if name in INFERENCE), None)
    if exported is not None:
        raise ValueError(
            f"{where} is a model exported for inference ({exported} is in it), whose parameters have no "
            f"names of their own; give the folder that training saved, with {PARAMETERS} in it"
        )


def _may_be_variable(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix not in _OTHER_SUFFIXES


# One variable in Paddle's binary form


_DTYPES = {2: "<i4", 3: "<i8", 4: "<f2", 5: "<f4", 6: "<f8"}  # VarType.Type -> numpy
# far above what a parameter has, so that a damaged length does not read a gigabyte
_MOST_LEVELS, _MOST_LEVEL_BYTES, _MOST_DESCRIPTION_BYTES = 8, 1 << 20, 1 << 10


def read_variable(file: IO[bytes], name: str) -> NDArray:
    """The array of a whole file of one variable.

    All numbers are little-endian: uint32 version 0; uint64 number of LoD levels, each with a uint64
    size and its content; uint32 version 0 of the tensor; int32 size of the description; the
    description; the raw data.

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
