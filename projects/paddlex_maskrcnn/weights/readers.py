"""What a weight file holds, whatever wrote it: names and arrays, and who trained them.

Pickles a user may have downloaded are read by an unpickler that admits arrays and containers only,
never code. PaddlePaddle's files: paddle_files.py.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

# where a file has its parameters when it holds more: Detectron2, most training loops, Detectron
_INSIDE = ("model", "state_dict", "blobs")
_MOMENTUM = "_momentum"  # Detectron's solver leaves these beside the parameters


@dataclass(frozen=True)
class WeightFile:
    """Attributes:
    arrays: by the names in the file.
    author: who trained them, where the file says so (Detectron2's pickles do).
    """

    arrays: dict[str, NDArray]
    author: str = ""


def read_file(path: Path) -> WeightFile:
    """The arrays of a .pkl, .safetensors or .pth file; any other suffix is read as .pth.

    Raises:
        ValueError: when it cannot be read, or holds something else.
    """
    content = _read(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds {type(content).__name__}, not names and tensors")
    author = str(content.get("__author__", ""))
    for name in _INSIDE:
        content = content[name] if isinstance(content.get(name), Mapping) else content
    arrays = {
        str(name): _array(value)
        for name, value in content.items()
        if isinstance(value, (np.ndarray, torch.Tensor)) and not str(name).endswith(_MOMENTUM)
    }
    return WeightFile(arrays, author)


def as_tensors(arrays: Mapping[str, NDArray]) -> dict[str, torch.Tensor]:
    """Tensors of their own memory, floating point ones in float32."""
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _read(path: Path) -> Any:
    if path.suffix == ".pkl":
        with path.open("rb") as file:
            return unpickle_arrays(file, str(path))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both raise whatever the damaged part makes them raise
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as a weight file: {first_line}") from error


def _array(value: NDArray | torch.Tensor) -> NDArray:
    if isinstance(value, np.ndarray):
        return value
    # numpy has no bfloat16
    return (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()


_ADMITTED = {
    ("collections", "OrderedDict"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    # numpy 2 renamed numpy.core to numpy._core
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    # how pickles of protocols before 3 hold bytes
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


def unpickle_arrays(file: IO[bytes], name: str) -> Any:
    """What a pickle of numpy arrays and containers holds.

    Args:
        file: at its first byte.
        name: what the file is called in messages.

    Raises:
        ValueError: when it is no pickle, is damaged, or holds anything that could run code.
    """
    try:
        # latin1: pickles of Python 2 have their arrays' bytes as strings
        return _ArraysOnly(file, encoding="latin1").load()
    except _ForbiddenError as error:
        raise ValueError(
            f"{name} is refused: a weight file may hold arrays and containers only, but {error}"
        ) from error
    except Exception as error:  # damaged bytes make the unpickler raise almost anything
        raise ValueError(f"{name} is refused: it is damaged or no pickle ({error})") from error
