"""The setting `pretrain_weights` as parameters under Detectron2's names and their input format.

A file's layout, that is which library its names come from, is recognised by the names alone: LAYOUTS.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from .catalogue import COCO_LABELS, KINDS, find_entry
from .download import fetch
from .input_format import (
    CAFFE_BGR,
    IMAGENET_RGB,
    PADDLEX_RGB,
    TORCHVISION_RGB,
    InputFormat,
    format_of_detectron2_file,
    labels_beside,
)
from .keys.backbones import identity_statistics, map_caffe2_resnet, map_presnet, map_timm_hrnet
from .keys.paddle import convert_paddle, map_paddle
from .keys.torchvision import convert_torchvision_maskrcnn, map_torchvision_resnet
from .loading import WeightSource
from .paddle_files import is_paddle, read_paddle
from .paddlex_model import is_paddlex_model, read_paddlex_model
from .readers import WeightFile, as_tensors, read_file

Arrays = dict[str, NDArray]
_NUM_RATIOS = 3  # anchors' aspect ratios of PaddleX's published detectors


def open_weights(
    pretrain_weights: str | None, backbone: str, with_fpn: bool = True
) -> WeightSource | None:
    """The source behind the setting `pretrain_weights`; None for random weights.

    Args:
        pretrain_weights: a kind of the catalogue, the path of a weight file or of a folder that
            PaddleX saved, or None.
        backbone: whose weights a kind means.
        with_fpn: whether the network has a feature pyramid; a kind may depend on it.

    Raises:
        ValueError: when there is no such source, or its layout is not known.
    """
    if pretrain_weights is None:
        return None
    if pretrain_weights in KINDS:
        entry = find_entry(backbone, pretrain_weights, with_fpn)
        state = open_file(fetch(entry), entry.input_format).state
        labels = COCO_LABELS if pretrain_weights == "COCO" else None
        return WeightSource(entry.name, state, entry.input_format, labels)
    path = Path(pretrain_weights)
    if not path.exists():
        raise ValueError(
            f"pretrain_weights is {pretrain_weights!r}: neither {' nor '.join(KINDS)} nor a file "
            "or saved model that exists; null means random weights"
        )
    return open_file(path)


def open_file(path: Path, input_format: InputFormat | None = None) -> WeightSource:
    """The weights of a file or folder of any supported kind.

    Args:
        path: of the file or folder.
        input_format: how images must look, where it is known; otherwise the file has to say it.

    Raises:
        ValueError: when it cannot be read, or its layout or input format is not known.
    """
    if is_paddlex_model(path):
        return read_paddlex_model(path).source
    file = WeightFile(read_paddle(path)) if is_paddle(path) else read_file(path)
    arrays = _without_wrapper(file.arrays)
    layout = _find_layout(arrays, str(path))
    form = input_format or layout.input_format(arrays)
    if form is None:
        form = format_of_detectron2_file(path, file.author)
    return WeightSource(str(path), as_tensors(layout.convert(arrays)), form, labels_beside(path))


def _without_wrapper(arrays: Arrays) -> Arrays:
    """Names without the `module.` that distributed training puts before all of them."""
    if all(name.startswith("module.") for name in arrays):
        return {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays


def _find_layout(names: Collection[str], path: str) -> Layout:
    for layout in LAYOUTS:
        if layout.applies(names):
            return layout
    shown = ", ".join(list(names)[:3])
    raise ValueError(
        f"{path} has a layout that is not known (it begins with {shown}); known are those of "
        f"{', '.join(layout.name for layout in LAYOUTS)}"
    )


@dataclass(frozen=True)
class Layout:
    """One library's way to name and lay out parameters.

    Attributes:
        name: for messages.
        applies: whether names of a whole file are of this kind.
        convert: all arrays of a file to Detectron2's names and layouts; what a detector has no use
            for keeps its own name, so that it is reported as unused.
        input_format: of all such files, from their arrays' names; None when the file has to say it.
    """

    name: str
    applies: Callable[[Collection[str]], bool]
    convert: Callable[[Arrays], Arrays]
    input_format: Callable[[Collection[str]], InputFormat | None]


def _any_starts(*prefixes: str) -> Callable[[Collection[str]], bool]:
    return lambda names: any(name.startswith(prefixes) for name in names)


def _any_is(*wanted: str) -> Callable[[Collection[str]], bool]:
    return lambda names: any(name in names for name in wanted)


def _renamed(
    key_map: Callable[[Collection[str]], Mapping[str, str | None]],
) -> Callable[[Arrays], Arrays]:
    def convert(arrays: Arrays) -> Arrays:
        names = key_map(arrays)
        return {names[name] or name: array for name, array in arrays.items()}

    return convert


def _has_group_norm(names: Collection[str]) -> bool:
    return any("_gn_" in name for name in names)


def _from_caffe2(arrays: Arrays) -> Arrays:
    """Statistics of the batch norms, where they are folded; group norms have none."""
    renamed = _renamed(map_caffe2_resnet)(arrays)
    return renamed if _has_group_norm(arrays) else renamed | identity_statistics(renamed)


def _caffe2_format(names: Collection[str]) -> InputFormat:
    """MSRA's; the networks with group norm have their stride in the 3x3 convolution."""
    if _has_group_norm(names):
        return InputFormat("BGR", CAFFE_BGR.pixel_mean, CAFFE_BGR.pixel_std, stride_in_1x1=False)
    return CAFFE_BGR


def _from_paddle(arrays: Arrays) -> Arrays:
    """A detector's anchors are ordered by ratio, then size; sizes follow from the number of both."""
    logits = arrays.get("rpn_cls_logits_b")
    num_sizes = max(1, len(logits) // _NUM_RATIOS) if logits is not None else 1
    dropped = [name for name, ours in map_paddle(arrays).items() if ours is None]
    return convert_paddle(arrays, num_sizes) | {name: arrays[name] for name in dropped}


def _paddle_format(names: Collection[str]) -> InputFormat:
    """A detector, and the ResNet18 with its additional projection, need PaddleX's own network."""
    is_detector = _any_starts("conv_rpn", "rpn_")(names)
    is_basic = _any_starts("res2a_")(names) and not any("branch2c" in name for name in names)
    return PADDLEX_RGB if is_detector or is_basic else IMAGENET_RGB


# The first that applies counts.
LAYOUTS = (
    Layout(
        "torchvision's Mask R-CNN",
        _any_starts("backbone.body."),
        convert_torchvision_maskrcnn,
        lambda names: TORCHVISION_RGB,
    ),
    Layout("Detectron2", _any_starts("stem.", "backbone."), dict, lambda names: None),
    Layout("Caffe2's ResNets", _any_is("conv1_w"), _from_caffe2, _caffe2_format),
    # before torchvision's: HRNet has a layer1 too
    Layout(
        "timm's HRNet",
        _any_starts("stage2."),
        _renamed(map_timm_hrnet),
        lambda names: IMAGENET_RGB,
    ),
    Layout(
        "torchvision's and timm's ResNets",
        _any_starts("layer1."),
        _renamed(map_torchvision_resnet),
        lambda names: IMAGENET_RGB,
    ),
    Layout(
        "PResNet",
        _any_starts("res_layers."),
        _renamed(map_presnet),
        lambda names: IMAGENET_RGB,
    ),
    Layout(
        "PaddleX 1.x",
        _any_is("conv1_weights", "conv1_1_weights", "layer1_1_weights"),
        _from_paddle,
        _paddle_format,
    ),
)
