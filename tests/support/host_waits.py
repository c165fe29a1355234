"""A device that is none, to count how often a program would make the host wait for a GPU.

What: `watch_waits()` opens a block in which `PRETENDED` is a device. Its tensors lie in main memory and
compute there, but say that they do not: the code takes the way it takes on a GPU, a tensor of the host
among them is an error, and each operator whose result a host can only have when the device has come
that far is noted with the lines of Python that asked for it.
What waits on a CUDA device: reading a number (`item`, `bool`, `int`, `float`, `tolist`), a result whose size
depends on data (`nonzero`, a mask as an index, `unique`, `bincount`, NMS), a copy from or to the host
that does not say `non_blocking`, as `torch.tensor(list, device=...)` does.
How: the device is "lazy", a type of device torch knows and nobody uses; its tensors are wrappers.
Limits: kernels that wait inside, as some sorts of cuDNN's and cuBLAS's choice do, are not seen; no
generators; a copy with `non_blocking` counts as free, which it is from pinned memory.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

PRETENDED = torch.device("lazy:0")
_HOST = torch.device("cpu")
# the operators whose results have a size, or are numbers, that the host has to be told
_WAITS = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::bincount",
    "aten::_unique2", "aten::_unique", "aten::unique_dim", "aten::unique_consecutive",
    "aten::equal", "torchvision::nms",
}  # fmt: skip
_PACKAGES = ("paddlex_maskrcnn", "detectron2", "torchvision")


@dataclass
class Waits:
    """What the host waited for, one after the other.

    Attributes:
        places: of each wait the operator and the lines of Python, innermost first.
    """

    places: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    def __str__(self) -> str:
        counts = Counter((name, *lines) for name, lines in self.places)
        return "\n".join(f"{count} x {' < '.join(key)}" for key, count in counts.items())


class _FarTensor(torch.Tensor):
    """A tensor of the pretended device around one of main memory."""

    near: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> _FarTensor:
        far = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, near.size(), strides=near.stride(), storage_offset=near.storage_offset(),
            dtype=near.dtype, device=PRETENDED,
        )  # fmt: skip
        far.near = near
        return far

    def __repr__(self) -> str:  # type: ignore[override]
        return f"far {self.near}"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Watch(TorchDispatchMode):
    """Computes what happens on the pretended device, and notes what would wait for it."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.waits.places += [(str(func), _lines())] * _num_waits(func, args, kwargs)
        return _compute(func, args, kwargs)


@contextlib.contextmanager
def watch_waits() -> Iterator[Waits]:
    """The waits of a block, in which `PRETENDED` can be used."""
    waits = Waits()
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(list, device=...) comes to the mode
    try:
        with _Watch(waits):
            yield waits
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operator's result, on the device it would be on."""
    device = _device_of_result(func, args, kwargs)
    near_args, near_kwargs = tree_map(_near, args), tree_map(_near, kwargs)
    out = func(*near_args, **near_kwargs)
    if _is_copy(func) and out is near_args[0] and func._schema.name != "aten::copy_":
        out = out.clone()
    if device != PRETENDED:
        return args[0] if func._schema.name == "aten::copy_" else out
    out = tree_map(lambda one: _FarTensor(one) if isinstance(one, torch.Tensor) else one, out)
    return return_and_correct_aliasing(func, args, kwargs, out)


def _device_of_result(func: Any, args: Any, kwargs: dict[str, Any]) -> torch.device:
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    if func._schema.name == "aten::copy_":
        return tensors[0].device
    if kwargs.get("device") is not None:
        return PRETENDED if torch.device(kwargs["device"]).type == PRETENDED.type else _HOST
    devices = {one.device for one in tensors}
    if len(devices) < 2:
        return devices.pop() if devices else _HOST
    strays = [one for one in tensors if one.device == _HOST and one.dim()]
    # as on CUDA: numbers may come from the host, and so may indices
    if strays and not func._schema.name.startswith("aten::index"):
        raise RuntimeError(f"{func} was given tensors of two devices")
    return PRETENDED


def _num_waits(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    name, tensors = func._schema.name, [x for x in tree_flatten((args, kwargs))[0] if _is_tensor(x)]
    if _is_copy(func):
        source = tensors[-1].device  # of copy_ the second, of _to_copy the only one
        blocks = not (
            kwargs.get("non_blocking") or (name == "aten::copy_" and args[2:3] == (True,))
        )
        return int(blocks and source != _device_of_result(func, args, kwargs))
    if not any(isinstance(one, _FarTensor) for one in tensors):
        return 0
    if name.startswith("aten::index") and isinstance(args[1], list | tuple):
        return _waits_of_indices(name, args)
    if name == "aten::repeat_interleave":
        return int(kwargs.get("output_size") is None)
    return int(name in _WAITS)


def _waits_of_indices(name: str, args: Any) -> int:
    """A mask has to be counted, a list of the host copied; `x[mask] = number` needs neither."""
    masks = [one for one in args[1] if one is not None and one.dtype in (torch.bool, torch.uint8)]
    lists = [one for one in args[1] if one is not None and not isinstance(one, _FarTensor)]
    fills = "put" in name and args[2].dim() == 0  # on CUDA such a number stays with the host
    return len(lists) + (0 if fills else len(masks))


def _is_copy(func: Any) -> bool:
    return func._schema.name in ("aten::_to_copy", "aten::copy_")


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _near(value: Any) -> Any:
    if isinstance(value, _FarTensor):
        return value.near
    is_far = isinstance(value, torch.device) and value.type == PRETENDED.type
    return _HOST if is_far else value


def _lines() -> tuple[str, ...]:
    """Where the call comes from in the packages looked at, innermost first, at most four lines."""
    frame, found = sys._getframe(1), []
    while frame is not None and len(found) < 4:
        parts = PurePath(frame.f_code.co_filename).parts
        package = next((name for name in _PACKAGES if name in parts), None)
        if package is not None:
            start = len(parts) - 1 - parts[::-1].index(package)
            path = "/".join(parts[start + (package == _PACKAGES[0]) :])
            found.append(f"{path}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(found)
