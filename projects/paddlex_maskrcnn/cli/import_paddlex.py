"""``import-paddlex``: a Mask R-CNN that PaddleX 1.x trained, as a model directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..requirements import require_detectron2

HELP = "turn a Mask R-CNN trained with PaddleX 1.x into a model directory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="with model.yml and model.pdparams, of PaddleX"
    )
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the model directory to write"
    )


def run(arguments: argparse.Namespace) -> int:
    """Import and say what happened to the parameters."""
    require_detectron2()
    from ..inference.interop import import_paddlex

    imported = import_paddlex(arguments.folder, arguments.to)
    card = imported.network.card
    print(f"{card.params.backbone}, {len(card.labels)} classes: {', '.join(card.labels[:10])}")
    print(f"parameters: {imported.report}")
    for note in imported.notes:
        print(f"note: {note}")
    print(f"written to {arguments.to}")
    return 0
