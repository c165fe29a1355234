"""What a weight file holds, whatever wrote it: names and arrays, and who trained them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .paddle_files import is_paddle, read_paddle
from .pickles import load_arrays

# where a file keeps its parameters when it holds more: Detectron2, most training loops, Detectron
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
    """The arrays of a .pkl, .pth, .safetensors, .pdparams or .tar file, or of a folder.

    Raises:
        ValueError: when it cannot be read, or holds something else.
    """
    if is_paddle(path):
        return WeightFile(read_paddle(path))
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
        return load_arrays(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both raise whatever the damaged part makes them raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as a weight file: {first}") from error


def _array(value: NDArray | torch.Tensor) -> NDArray:
    if isinstance(value, np.ndarray):
        return value
    # numpy has no bfloat16
    return (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()
