"""The input format of Detectron2 files: by their author, or by the configuration that lies beside them.

Detectron2's training writes `config.yaml` into the folder of its checkpoints, with INPUT.FORMAT,
MODEL.PIXEL_MEAN and PIXEL_STD and MODEL.RESNETS.STRIDE_IN_1X1; this program writes `model.yml`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .input_format import CAFFE_BGR, IMAGENET_RGB, InputFormat

DETECTRON2_CONFIG, OWN_CARD = "config.yaml", "model.yml"


def format_of_detectron2_file(path: Path, author: str) -> InputFormat:
    """How images must look for a file in Detectron2's layout.

    Args:
        path: the file.
        author: what it says of itself; empty when nothing.

    Raises:
        ValueError: when nothing says so, with how to say it.
    """
    for name, read in ((OWN_CARD, _of_own_card), (DETECTRON2_CONFIG, _of_detectron2_config)):
        beside = path.with_name(name)
        if beside.is_file() and (form := read(beside)) is not None:
            return form
    if "torchvision" in author.lower():
        return IMAGENET_RGB
    if any(word in author for word in ("MSRA", "Caffe2", "Detectron2")):
        return CAFFE_BGR
    raise ValueError(
        f"{path} does not say how its images must look, and training with the wrong pixel order or "
        f"scale would ruin accuracy without an error. Put the {DETECTRON2_CONFIG} that Detectron2 wrote "
        "when it was trained into the same folder, or write one there: {INPUT: {FORMAT: BGR}, MODEL: "
        "{PIXEL_MEAN: [103.53, 116.28, 123.675], PIXEL_STD: [1, 1, 1], RESNETS: {STRIDE_IN_1X1: true}}} "
        "with its own values"
    )


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
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as YAML ({error})") from error


def _checked(path: Path, order: str, mean: Any, std: Any, stride_in_1x1: bool) -> InputFormat:
    mean, std = tuple(float(value) for value in mean), tuple(float(value) for value in std)
    if order not in ("BGR", "RGB") or len(mean) != len(std) or any(value <= 0 for value in std):
        raise ValueError(
            f"{path} cannot be used: INPUT.FORMAT is {order!r} (BGR or RGB are possible), "
            f"PIXEL_MEAN has {len(mean)} values, PIXEL_STD {len(std)}, which must be positive"
        )
    return InputFormat(order, mean, std, stride_in_1x1)
