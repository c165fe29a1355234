"""A Mask R-CNN that PaddleX 1.x saved: its folder as settings, classes, operators and parameters.

What is read: `model.pdparams` (or one file a variable) and `model.yml`, as `save_model` of PaddleX 1.0
to 1.3 and every epoch of its training wrote them.
Source: behaviour notes of PaddleX 1.3, §8.5 (model.yml), §7.4 (operators); compared with folders that
PaddleX 1.3.11 wrote.
Differences: with a pyramid PaddleX used the first of `anchor_sizes` alone and doubled it from level to
level; here the sizes are written out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import yaml_io
from .input_format import PADDLEX_RGB, InputFormat
from .keys.paddle import convert_paddle
from .loading import WeightSource
from .paddle_files import (
    INFERENCE,
    PARAMETERS,
    is_paddle_folder,
    read_paddle,
    refuse_inference,
)
from .readers import as_tensors

_CARD = "model.yml"
_LEVELS = 5  # of the pyramid, P2 to P6
_PIXEL_RANGE = 255.0
_DEFAULT_ANCHOR_SIZES = [32, 64, 128, 256, 512]


@dataclass(frozen=True)
class PaddleXModel:
    """What a folder of PaddleX says of its model.

    Attributes:
        params: arguments of its constructor, as written there.
        labels: foreground class names; entry i is PaddleX's category_id i + 1.
        transforms: operators before prediction, [{name: arguments}, ...]; None when it has none.
        source: its parameters in Detectron2's layout, with their input format.
        eval_metrics: of its last evaluation, fractions.
        completed_epochs: epochs it was trained.
    """

    params: dict[str, Any]
    labels: list[str]
    transforms: list[dict[str, Any]] | None
    source: WeightSource
    eval_metrics: dict[str, float]
    completed_epochs: int


def is_paddlex_model(path: Path) -> bool:
    """Whether a path is a folder that PaddleX's training saved, rather than parameters alone."""
    return (path / _CARD).is_file() and (path / PARAMETERS).is_file()


def is_of_paddlex(path: Path) -> bool:
    """Whether a path is a folder of PaddleX, trained or exported."""
    return is_paddle_folder(path) or any((path / name).is_file() for name in INFERENCE)


def read_paddlex_model(folder: Path) -> PaddleXModel:
    """The Mask R-CNN of a folder.

    Raises:
        ValueError: when it is no folder that training with PaddleX 1.x saved, or holds another kind
            of model; says what is there instead.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    refuse_inference([name for name in INFERENCE if (folder / name).exists()], str(folder))
    card = _read_card(folder / _CARD)
    params = _params(card)
    transforms, form = _transforms(card)
    arrays = convert_paddle(read_paddle(folder), _sizes_on_one_map(params))
    attributes = card.get("_Attributes") or {}
    labels = _labels(attributes, folder)
    source = WeightSource(str(folder), as_tensors(arrays), form, tuple(labels))
    return PaddleXModel(
        params=params,
        labels=labels,
        transforms=transforms,
        source=source,
        eval_metrics=dict(attributes.get("eval_metrics") or {}),
        completed_epochs=int(card.get("completed_epochs") or 0),
    )


def _read_card(path: Path) -> dict[str, Any]:
    """model.yml of a Mask R-CNN that can be trained on."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: PaddleX wrote it beside {PARAMETERS}")
    try:
        card = yaml_io.load(yaml_io.read_text(path))
    except yaml_io.YamlError as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    if not isinstance(card, dict) or "_init_params" not in card:
        raise ValueError(f"{path} was not written by PaddleX 1.x (it has no _init_params)")
    if card.get("Model") != "MaskRCNN":
        raise ValueError(f"{path} is of a {card.get('Model')}; only MaskRCNN can be imported")
    # earlier versions of PaddleX wrote save_method instead
    status = card.get("status", card.get("save_method", "Normal"))
    if status not in ("Normal", "fluid.save"):
        raise ValueError(
            f"{path} is of a model with status {status} (exported, quantised or pruned); give the "
            "folder that training saved, with status Normal"
        )
    return card


def _params(card: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments, anchor sizes as PaddleX really used them."""
    params = {key: value for key, value in card["_init_params"].items() if key != "model_name"}
    if params.get("with_fpn", True):
        first = (params.get("anchor_sizes") or _DEFAULT_ANCHOR_SIZES)[0]
        params["anchor_sizes"] = [first * 2**level for level in range(_LEVELS)]
    return params


def _sizes_on_one_map(params: dict[str, Any]) -> int:
    if params.get("with_fpn", True):
        return 1
    return len(params.get("anchor_sizes") or _DEFAULT_ANCHOR_SIZES)


def _labels(attributes: dict[str, Any], folder: Path) -> list[str]:
    labels = attributes.get("labels")
    if not labels:
        raise ValueError(f"{folder / _CARD} has no class names (_Attributes, labels)")
    labels = [str(label) for label in labels]
    # PaddleX's training puts the background first, as class 0
    return labels[1:] if labels[0] == "background" else labels


def _transforms(card: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, InputFormat]:
    """The operators before prediction and the input format that their Normalize declares.

    Our Normalize is always in RGB order; PaddleX's is in the order of TransformsMode.
    """
    order = card.get("TransformsMode", "RGB")
    form = replace(PADDLEX_RGB, channel_order=order)
    if order == "BGR":
        form = replace(
            form, pixel_mean=PADDLEX_RGB.pixel_mean[::-1], pixel_std=PADDLEX_RGB.pixel_std[::-1]
        )
    if "Transforms" not in card:
        return None, form
    operators = [
        {name: dict(values or {})}
        for operator in card["Transforms"]
        for name, values in operator.items()
    ]
    if shape := (card.get("_Attributes") or {}).get("fixed_input_shape"):
        fix_shape(operators, shape)
    for arguments in (each["Normalize"] for each in operators if "Normalize" in each):
        form = _statistics(form, arguments)
        if order == "BGR":
            arguments |= {key: value[::-1] for key, value in arguments.items()}
    return operators, form


def _statistics(form: InputFormat, arguments: dict[str, Any]) -> InputFormat:
    """Mean and deviation in pixel values, of what comes after scaling from [min_val, max_val]."""
    channels = len(arguments["mean"])
    low = arguments.get("min_val") or [0] * channels
    high = arguments.get("max_val") or [_PIXEL_RANGE] * channels
    spans = [top - bottom for bottom, top in zip(low, high, strict=True)]
    mean = (b + m * s for b, m, s in zip(low, arguments["mean"], spans, strict=True))
    std = (d * s for d, s in zip(arguments["std"], spans, strict=True))
    return replace(form, pixel_mean=tuple(mean), pixel_std=tuple(std))


def fix_shape(operators: list[dict[str, Any]], shape: list[int]) -> None:
    """A fixed [width, height] replaces the sizes of ResizeByShort and Padding, as in PaddleX."""
    for operator in operators:
        if "ResizeByShort" in operator:
            operator["ResizeByShort"] |= {"short_size": min(shape), "max_size": max(shape)}
        if "Padding" in operator:
            operator["Padding"] |= {"target_size": list(shape)}
