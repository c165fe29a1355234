"""``export``: a saved model as one ONNX or TorchScript file, compared with the model before it is kept."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..requirements import require_detectron2

HELP = (
    "write a saved model as one ONNX or TorchScript file and check that it finds the same objects"
)
_SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript.pt"}
_FOLDER = "folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL_DIR", help="a saved model, such as output/best_model"
    )
    parser.add_argument(
        "--to", choices=(*_SUFFIXES, _FOLDER), required=True,
        help="kind of file; folder: an ONNX file with the model's card, for pdx.deploy.Predictor",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="PATH",
        help="where to write (default: model.onnx, model.torchscript.pt or inference_model in MODEL_DIR)",
    )  # fmt: skip
    parser.add_argument(
        "--fixed-input-shape", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"),
        help="pixels that every image becomes, resized and padded (default: as the model's transforms say)",
    )  # fmt: skip
    parser.add_argument(
        "--images", nargs="+", type=Path, default=(), metavar="PATH",
        help="images, or folders of them, to compare on (default: scenes of several sizes are drawn)",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, default=1e-3, metavar="T",
        help="largest difference of scores and mask probabilities, and of boxes in units of 100 pixels "
        "(default: 0.001)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Export and say what was compared."""
    require_detectron2()
    from .. import load_model
    from ..export.exporting import export_model_directory, export_network

    images = _pictures(arguments.images)
    default = f"model{_SUFFIXES[arguments.to]}" if arguments.to in _SUFFIXES else "inference_model"
    output = arguments.output or arguments.model / default
    shape = arguments.fixed_input_shape
    network = load_model(arguments.model, "cpu", fixed_input_shape=shape).network
    assert network is not None
    how = {"images": images, "tolerance": arguments.tolerance}
    report = (
        export_model_directory(network, output, **how)
        if arguments.to == _FOLDER
        else export_network(network, output, arguments.to, **how)
    )
    print(report)
    print(f"written to {output}")
    return 0


def _pictures(paths: Sequence[Path]) -> list[Path]:
    """The pictures of files and folders.

    Raises:
        ValueError: for a path that is not there, or a folder without pictures.
    """
    from ..data.datasets.files import files_below, is_picture

    pictures = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"--images: there is no {path}")
        inside = (
            [file for file in files_below(path) if is_picture(file.name)]
            if path.is_dir()
            else [path]
        )
        if not inside:
            raise ValueError(f"--images: there is no image in {path}")
        pictures += inside
    return pictures
