"""From a network to a verified file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..acceleration import plain
from ..data.transforms import Compose
from ..engine.network import Network
from .metadata import metadata_of
from .network import ExportableRCNN, step_of
from .onnx_file import OnnxRunner, require_onnx, write_onnx
from .pictures import inputs_of
from .torchscript_file import TorchScriptRunner, write_torchscript
from .verification import TOLERANCE, Report, verify

_TOLD = 5
_KINDS: dict[str, tuple[Any, Any]] = {
    "onnx": (write_onnx, OnnxRunner),
    "torchscript": (write_torchscript, TorchScriptRunner),
}
FORMATS = tuple(_KINDS)


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
    except BaseException:
        unverified.unlink(missing_ok=True)
        raise
    if report.wrong:
        raise ValueError(_failure(report, unverified))
    unverified.replace(path)
    return report


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
    more = len(report.wrong) - _TOLD
    lines = [
        "the exported file does not find what the network finds",
        *report.wrong[:_TOLD],
        *([f"and {more} more"] if more > 0 else []),
        str(report),
        f"the file is kept as {path}; a larger --tolerance accepts larger differences",
    ]
    return "\n".join(lines)
