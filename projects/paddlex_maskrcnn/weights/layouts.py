"""Which library a file's names come from, and the same tensors under Detectron2's names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from .input_format import CAFFE_BGR, IMAGENET_RGB, PADDLEX_RGB, TORCHVISION_RGB, InputFormat
from .keys import (
    caffe2_resnet,
    paddle_arrays,
    presnet,
    timm_hrnet,
    torchvision_maskrcnn,
    torchvision_resnet,
)
from .keys.folded_norms import identity_statistics

Arrays = dict[str, NDArray]
NUM_RATIOS = 3  # anchors' aspect ratios of PaddleX's published detectors


@dataclass(frozen=True)
class Layout:
    """One library's way to name and lay out parameters.

    Attributes:
        name: for messages.
        applies: whether names of a whole file are of this kind.
        convert: all arrays of a file to Detectron2's names and layouts; what a detector has no use
            for keeps its own name.
        input_format: of all such files, from their arrays' names; None when the file has to say it.
    """

    name: str
    applies: Callable[[Collection[str]], bool]
    convert: Callable[[Arrays], Arrays]
    input_format: Callable[[Collection[str]], InputFormat | None]


def find_layout(names: Collection[str], where: str) -> Layout:
    """The first of LAYOUTS that applies.

    Raises:
        ValueError: when none does, with those that are known.
    """
    for layout in LAYOUTS:
        if layout.applies(names):
            return layout
    shown = ", ".join(list(names)[:3])
    raise ValueError(
        f"{where} has a layout that is not known (it begins with {shown}); known are those of "
        f"{', '.join(layout.name for layout in LAYOUTS)}"
    )


def without_wrapper(arrays: Mapping[str, NDArray]) -> Arrays:
    """Names without the `module.` that distributed training puts before all of them."""
    if all(name.startswith("module.") for name in arrays):
        return {name.removeprefix("module."): array for name, array in arrays.items()}
    return dict(arrays)


def _any_starts(*prefixes: str) -> Callable[[Collection[str]], bool]:
    return lambda names: any(name.startswith(prefixes) for name in names)


def _any_is(*wanted: str) -> Callable[[Collection[str]], bool]:
    return lambda names: any(name in names for name in wanted)


def _renamed(
    to_detectron2: Callable[[Collection[str]], Mapping[str, str | None]],
) -> Callable[[Arrays], Arrays]:
    def convert(arrays: Arrays) -> Arrays:
        names = to_detectron2(arrays)
        return {names[name] or name: array for name, array in arrays.items()}

    return convert


def _from_caffe2(arrays: Arrays) -> Arrays:
    """Statistics of the batch norms, where they are folded; group norms have none."""
    renamed = _renamed(caffe2_resnet.to_detectron2)(arrays)
    return renamed if _has_group_norm(arrays) else renamed | identity_statistics(renamed)


def _from_paddle(arrays: Arrays) -> Arrays:
    """A detector's anchors are ordered by ratio, then size; sizes follow from the number of both."""
    logits = arrays.get("rpn_cls_logits_b")
    num_sizes = max(1, len(logits) // NUM_RATIOS) if logits is not None else 1
    return paddle_arrays.convert(arrays, num_sizes) | _dropped_by_paddle(arrays)


def _dropped_by_paddle(arrays: Arrays) -> Arrays:
    names = paddle_arrays.to_detectron2(arrays)
    return {name: array for name, array in arrays.items() if names[name] is None}


def _from_torchvision_detector(arrays: Arrays) -> Arrays:
    return torchvision_maskrcnn.convert(arrays)


def _has_group_norm(names: Collection[str]) -> bool:
    return any("_gn_" in name for name in names)


def _caffe2_format(names: Collection[str]) -> InputFormat | None:
    """MSRA's; the networks with group norm have their stride in the 3x3 convolution."""
    if _has_group_norm(names):
        return InputFormat("BGR", CAFFE_BGR.pixel_mean, CAFFE_BGR.pixel_std, stride_in_1x1=False)
    return CAFFE_BGR


def _paddle_format(names: Collection[str]) -> InputFormat | None:
    """A detector, and the ResNet18 with its additional projection, need PaddleX's own network."""
    is_detector = any(name.startswith(("conv_rpn", "rpn_")) for name in names)
    is_basic = _any_starts("res2a_")(names) and not any("branch2c" in name for name in names)
    return PADDLEX_RGB if is_detector or is_basic else IMAGENET_RGB


LAYOUTS = (
    Layout(
        "torchvision's Mask R-CNN",
        _any_starts("backbone.body."),
        _from_torchvision_detector,
        lambda names: TORCHVISION_RGB,
    ),
    Layout("Detectron2", _any_starts("stem.", "backbone."), dict, lambda names: None),
    Layout("Caffe2's ResNets", _any_is("conv1_w"), _from_caffe2, _caffe2_format),
    # before torchvision's: HRNet has a layer1 too
    Layout(
        "timm's HRNet",
        _any_starts("stage2."),
        _renamed(timm_hrnet.to_detectron2),
        lambda names: IMAGENET_RGB,
    ),
    Layout(
        "torchvision's and timm's ResNets",
        _any_starts("layer1."),
        _renamed(torchvision_resnet.to_detectron2),
        lambda names: IMAGENET_RGB,
    ),
    Layout(
        "PResNet",
        _any_starts("res_layers."),
        _renamed(presnet.to_detectron2),
        lambda names: IMAGENET_RGB,
    ),
    Layout(
        "PaddleX 1.x",
        _any_is("conv1_weights", "conv1_1_weights", "layer1_1_weights"),
        _from_paddle,
        _paddle_format,
    ),
)
