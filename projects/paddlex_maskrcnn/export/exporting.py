"""From a network to a verified file, and what travels in the file beside the graph.

Beside the graph: class names, what to do to an image, and where it is from. Every value is JSON. Operators
that change pixels are `steps`, which the caller carries out; those that the graph does itself are listed
for the record.
"""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detectron2
import numpy as np
import torch
import torchvision

from .. import __version__
from ..acceleration import plain
from ..data.transforms import CLAHE, Compose, Normalize, Padding, Resize, ResizeByShort
from ..data.transforms.resize import width_and_height
from ..inference.detections import MASK_THRESHOLD
from ..inference.model_directory import save_exported_model
from ..inference.network import ModelCard, Network
from .files import OnnxRunner, TorchScriptRunner, require_onnx, write_onnx, write_torchscript
from .network import ExportableRCNN, step_of
from .verification import TOLERANCE, Report, inputs_of, verify

FORMAT_VERSION = 1

_LISTED = 5
_KINDS: dict[str, tuple[Any, Any]] = {
    "onnx": (write_onnx, OnnxRunner),
    "torchscript": (write_torchscript, TorchScriptRunner),
}
FORMATS = tuple(_KINDS)


def metadata_of(card: ModelCard, transforms: Compose, step: int) -> dict[str, str]:
    """Key to JSON text.

    Args:
        card: of the model.
        transforms: applied before the network.
        step: what the padded sides are a multiple of, in pixels.

    Raises:
        ValueError: for an operator that the file has no words for.
    """
    described = {
        "format_version": FORMAT_VERSION,
        "model": f"MaskRCNN {card.params.backbone}" + (" FPN" if card.params.with_fpn else " C4"),
        "labels": list(card.labels),
        "category_ids": list(card.category_ids),
        "preprocessing": _preprocessing(card, transforms, step),
        "postprocessing": _postprocessing(card),
        "versions": {
            "paddlex_maskrcnn": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "detectron2": detectron2.__version__,
            "numpy": np.__version__,
        },
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in described.items()}


def _preprocessing(card: ModelCard, transforms: Compose, step: int) -> dict[str, Any]:
    form, padding = card.input_format, transforms.padding
    others = [t for t in transforms.transforms if not isinstance(t, (Normalize, Padding))]
    return {
        "channel_order": form.channel_order,
        "num_channels": card.params.input_channel,
        "steps": [_step(operator) for operator in others],
        "in_graph": {
            "pixel_mean": list(form.pixel_mean),
            "pixel_std": list(form.pixel_std),
            "padding": padding.to_config() if padding else None,
            "multiple_of": step,
        },
    }


def _step(operator: Any) -> dict[str, Any]:
    if isinstance(operator, ResizeByShort):
        short = operator.short_size
        assert isinstance(short, int)  # the deterministic form has one
        return {"name": "ResizeByShort", "short_size": short, "max_size": operator.max_size}
    if isinstance(operator, Resize):
        width, height = width_and_height(operator.target_size)
        return {"name": "Resize", "width": width, "height": height, "interp": operator.interp}
    if isinstance(operator, CLAHE):
        return {"name": "CLAHE", **operator.to_config()}
    raise ValueError(
        f"the test transforms have {type(operator).__name__}, which an exported file cannot describe; "
        "export a model whose transforms are of ResizeByShort, Resize, CLAHE, Normalize and Padding"
    )


def _postprocessing(card: ModelCard) -> dict[str, Any]:
    params = card.params
    return {
        "mask_threshold": MASK_THRESHOLD,
        "score_threshold": params.score_threshold,
        "nms": params.rcnn_nms,
        "nms_threshold": params.nms_threshold,
        "keep_top_k": params.keep_top_k,
    }


def export_network(
    network: Network,
    path: Path,
    to: str,
    *,
    images: Sequence[Path] = (),
    transforms: Compose | None = None,
    tolerance: float = TOLERANCE,
) -> Report:
    """Write a network as one file, and compare what the file finds with what the network finds.

    The file gets its name when it has passed; one that has not keeps a name with `.wrong` in it.

    Args:
        network: trained; it stays as it is.
        path: of the file, replaced if there is one.
        to: one of FORMATS.
        images: pictures to compare on; without any, scenes of several sizes are drawn.
        transforms: the file shall describe instead of the model's own.
        tolerance: largest difference of scores and mask probabilities; a box may differ by a
            hundred times as many pixels.

    Raises:
        ValueError: when the network cannot be written as such a file, or the file finds other objects.
        ModuleNotFoundError: when onnx or onnxruntime is missing.
    """
    _check(to, tolerance)
    transforms = _transforms(network, transforms)
    # a copy: what follows changes the module
    module = plain(copy.deepcopy(network.module)).cpu().eval()
    exportable = ExportableRCNN(module, transforms.padding)
    metadata = metadata_of(network.card, transforms, step_of(module))
    inputs = inputs_of(network.card, transforms, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    unverified = path.with_name(f"{path.stem}.wrong{path.suffix}")
    write, runner = _KINDS[to]
    params = network.card.params
    try:
        write(exportable, unverified, params.input_channel, params.score_threshold, metadata)
        report = verify(module, inputs, runner(unverified), tolerance)
    except BaseException:  # Ctrl-C too: half a file must not look like a whole one
        unverified.unlink(missing_ok=True)
        raise
    if report.wrong:
        raise ValueError(_failure(report, unverified))
    unverified.replace(path)
    return report


def export_model_directory(
    network: Network,
    directory: Path,
    *,
    images: Sequence[Path] = (),
    tolerance: float = TOLERANCE,
) -> Report:
    """Write a network as a folder that `pdx.deploy.Predictor` reads: an ONNX file and its card.

    Args and errors as `export_network`; nothing is left when it fails.
    """
    reports: list[Report] = []

    def write(path: Path) -> None:
        reports.append(export_network(network, path, "onnx", images=images, tolerance=tolerance))

    save_exported_model(directory, network, write)
    return reports[0]


def _check(to: str, tolerance: float) -> None:
    if to not in FORMATS:
        raise ValueError(f"to is {to!r}; choose one of {', '.join(FORMATS)}")
    if not tolerance > 0:
        raise ValueError(
            f"tolerance is {tolerance!r}; give a number above 0, such as {TOLERANCE:g}"
        )
    if to == "onnx":
        require_onnx()


def _transforms(network: Network, given: Compose | None) -> Compose:
    transforms = given or network.card.test_transforms()
    if transforms is None:
        raise ValueError(
            "transforms are needed: the model was saved without any, and the file has to say what is "
            "to be done to an image"
        )
    return transforms.deterministic()


def _failure(report: Report, path: Path) -> str:
    """What the user reads."""
    more = len(report.wrong) - _LISTED
    lines = [
        "the exported file does not find what the network finds",
        *report.wrong[:_LISTED],
        *([f"and {more} more"] if more > 0 else []),
        str(report),
        f"the file is kept as {path}; a larger --tolerance accepts larger differences",
    ]
    return "\n".join(lines)
