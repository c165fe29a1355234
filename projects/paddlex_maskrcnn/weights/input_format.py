"""What weights demand of the images and of the network; it belongs to them and travels with the model.

Files of other libraries have one format each (source.py). A file in Detectron2's layout has it from its
author or from the configuration beside it: Detectron2's training writes `config.yaml` into the folder of
its checkpoints, with INPUT.FORMAT, MODEL.PIXEL_MEAN and PIXEL_STD and MODEL.RESNETS.STRIDE_IN_1X1; this
program writes `model.yml`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import yaml_io


@dataclass(frozen=True)
class InputFormat:
    """Pixel order and statistics that weights were trained with, and the details their network had.

    Attributes:
        channel_order: RGB or BGR; the order of `pixel_mean` and `pixel_std` too.
        pixel_mean, pixel_std: per channel, in pixel values (0 to 255 for 8-bit images).
        stride_in_1x1: whether a bottleneck's stride is in its first 1x1 convolution.
        conventions: whose definition of anchors, region pooling and the like a detector's weights
            were trained with: detectron2, torchvision or paddlex. Weights of a bare backbone fit all
            of them and say detectron2.
    """

    channel_order: str
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    stride_in_1x1: bool = False
    conventions: str = "detectron2"

    @property
    def scaled(self) -> bool:
        """Whether pixels are divided by their deviation (Caffe-style weights only subtract)."""
        return any(std != 1 for std in self.pixel_std)


# torchvision, timm, PaddleX: ImageNet statistics of RGB images.
IMAGENET_RGB = InputFormat("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# the same images, and detectors as torchvision and PaddleX define them
TORCHVISION_RGB = replace(IMAGENET_RGB, conventions="torchvision")
PADDLEX_RGB = replace(IMAGENET_RGB, conventions="paddlex")
# MSRA / Caffe weights, as Detectron2's ImageNetPretrained/MSRA: BGR, mean only.
CAFFE_BGR = InputFormat("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), stride_in_1x1=True)

_DETECTRON2_CONFIG, _OWN_CARD = "config.yaml", "model.yml"


def format_of_detectron2_file(path: Path, author: str) -> InputFormat:
    """How images must look for a file in Detectron2's layout.

    Args:
        path: the file.
        author: what it says of itself; empty when nothing.

    Raises:
        ValueError: when nothing says so, with how to say it.
    """
    for name, read in ((_OWN_CARD, _of_own_card), (_DETECTRON2_CONFIG, _of_detectron2_config)):
        beside = path.with_name(name)
        if beside.is_file() and (form := read(beside)) is not None:
            return form
    if "torchvision" in author.lower():
        return IMAGENET_RGB
    if any(word in author for word in ("MSRA", "Caffe2", "Detectron2")):
        return CAFFE_BGR
    raise ValueError(
        f"{path} does not say how its images must look, and training with the wrong pixel order or "
        f"scale would ruin accuracy without an error. Put the {_DETECTRON2_CONFIG} that Detectron2 wrote "
        "when it was trained into the same folder, or write one there: {INPUT: {FORMAT: BGR}, MODEL: "
        "{PIXEL_MEAN: [103.53, 116.28, 123.675], PIXEL_STD: [1, 1, 1], RESNETS: {STRIDE_IN_1X1: true}}} "
        "with its own values"
    )


def labels_beside(path: Path) -> tuple[str, ...] | None:
    """Class names that the card of a model directory gives for the file beside it; None without them."""
    beside = path.with_name(_OWN_CARD)
    card = _read_yaml(beside) if beside.is_file() else None
    labels = card.get("labels") if isinstance(card, dict) and "input_format" in card else None
    return tuple(map(str, labels)) if isinstance(labels, list) else None


def _of_detectron2_config(path: Path) -> InputFormat | None:
    """None when it is another program's file of the same name."""
    config = _read_yaml(path)
    try:
        return _checked(
            path,
            str(config["INPUT"]["FORMAT"]),
            config["MODEL"]["PIXEL_MEAN"],
            config["MODEL"]["PIXEL_STD"],
            bool(config["MODEL"]["RESNETS"]["STRIDE_IN_1X1"]),
        )
    except (KeyError, TypeError):
        return None


def _of_own_card(path: Path) -> InputFormat | None:
    try:
        form = dict(_read_yaml(path)["input_format"])
        form |= {key: tuple(form[key]) for key in ("pixel_mean", "pixel_std")}
        return InputFormat(**form)
    except (KeyError, TypeError):
        return None


def _read_yaml(path: Path) -> Any:
    try:
        return yaml_io.load(yaml_io.read_text(path))
    except yaml_io.YamlError as error:
        raise ValueError(f"{path} cannot be read as YAML ({error})") from error


def _checked(path: Path, order: str, mean: Any, std: Any, stride_in_1x1: bool) -> InputFormat:
    mean, std = tuple(float(value) for value in mean), tuple(float(value) for value in std)
    if order not in ("BGR", "RGB") or len(mean) != len(std) or any(value <= 0 for value in std):
        raise ValueError(
            f"{path} cannot be used: INPUT.FORMAT is {order!r} (BGR or RGB are possible), "
            f"PIXEL_MEAN has {len(mean)} values, PIXEL_STD {len(std)}, which must be positive"
        )
    return InputFormat(order, mean, std, stride_in_1x1)
