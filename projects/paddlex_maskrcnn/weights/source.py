"""A weight file, whatever its layout, as parameters under Detectron2's names and their input format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cache import fetch
from .catalogue import KINDS, find_entry
from .input_format import CAFFE_BGR, IMAGENET_RGB, InputFormat
from .keys import presnet, timm_hrnet, torchvision_resnet
from .pickles import load_arrays


@dataclass(frozen=True)
class WeightSource:
    """Weights that can be loaded into a network.

    Attributes:
        name: for messages: the path, or the catalogue's name.
        state: Detectron2's parameter names -> tensors; a bare backbone's begin at `stem.`.
        input_format: how images must look for them; None when the source does not depend on it.
    """

    name: str
    state: dict[str, torch.Tensor]
    input_format: InputFormat


def open_weights(pretrain_weights: str | None, backbone: str) -> WeightSource | None:
    """The source behind the setting `pretrain_weights`; None for random weights.

    Args:
        pretrain_weights: a kind of the catalogue, the path of a weight file, or None.
        backbone: whose weights a kind means.

    Raises:
        ValueError: when there is no such source, or its layout is not known.
    """
    if pretrain_weights is None:
        return None
    if pretrain_weights in KINDS or pretrain_weights == "COCO":
        entry = find_entry(backbone, pretrain_weights)
        _, state = _read(fetch(entry))
        return WeightSource(entry.name, _rename(state, entry.name)[0], entry.input_format)
    path = Path(pretrain_weights)
    if not path.is_file():
        raise ValueError(
            f"pretrain_weights is {pretrain_weights!r}: neither {' nor '.join(KINDS)} nor a file "
            "or saved model that exists; null means random weights"
        )
    author, state = _read(path)
    renamed, torchvision_layout = _rename(state, str(path))
    input_format = IMAGENET_RGB if torchvision_layout else _format_by_author(author, path)
    return WeightSource(str(path), renamed, input_format)


def _read(path: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """The author a file names (Detectron2's pickles do) and its tensors, in float32."""
    if path.suffix == ".pkl":
        content = load_arrays(path)
    elif path.suffix == ".safetensors":
        from safetensors.torch import load_file

        content = load_file(path)
    else:
        content = _torch_load(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, not names and tensors")
    author = str(content.get("__author__", ""))
    for name in ("model", "state_dict"):
        content = content[name] if isinstance(content.get(name), dict) else content
    return author, {name: _tensor(value) for name, value in content.items() if _is_array(value)}


def _torch_load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as a torch weight file: {first}") from error


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, torch.Tensor))


def _tensor(value: Any) -> torch.Tensor:
    tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    return tensor.float() if tensor.is_floating_point() else tensor


def _rename(state: dict[str, torch.Tensor], name: str) -> tuple[dict[str, torch.Tensor], bool]:
    """The state under Detectron2's names, and whether it had torchvision's."""
    if any(key.startswith(("stem.", "backbone.")) for key in state):
        return state, False
    if any(key.startswith("stage2.") for key in state):  # before layer1, which HRNet has too
        return _map(state, timm_hrnet.to_detectron2(state)), True
    if any(key.startswith("layer1.") for key in state):
        return _map(state, torchvision_resnet.to_detectron2(state)), True
    if any(key.startswith("res_layers.") for key in state):
        return _map(state, presnet.to_detectron2(state)), True
    shown = ", ".join(list(state)[:3])
    raise ValueError(
        f"{name} has a layout that is not known (it begins with {shown}); known are Detectron2's, "
        "torchvision's and timm's ResNets, timm's HRNet and PResNet"
    )


def _map(state: dict[str, torch.Tensor], names: dict[str, str | None]) -> dict[str, torch.Tensor]:
    """The tensors under their new names; what a detector has no use for (the classifier) keeps its own."""
    return {names[key] or key: value for key, value in state.items()}


def _format_by_author(author: str, path: Path) -> InputFormat:
    """Detectron2's pickles name who trained them; that decides how their images look."""
    if "torchvision" in author.lower():
        return IMAGENET_RGB
    if any(word in author for word in ("MSRA", "Caffe2", "Detectron2")):
        return CAFFE_BGR
    raise ValueError(
        f"{path} does not say how its images must look (no '__author__' of Detectron2's kind): "
        "training with the wrong pixel order or scale would ruin accuracy without an error"
    )
