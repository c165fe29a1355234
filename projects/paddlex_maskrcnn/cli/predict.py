"""``predict``: images through a saved model, to pictures and a JSON file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..requirements import require_detectron2

HELP = "run a saved model on images; writes pictures and predictions.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL_DIR", help="a saved model, such as output/best_model"
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument("--output", type=Path, default=Path("output/predictions"), metavar="DIR")
    parser.add_argument("--threshold", type=float, default=0.5, help="score drawn from")


def run(arguments: argparse.Namespace) -> int:
    """Write one picture an image, and all boxes, scores and classes as JSON."""
    require_detectron2()
    from .. import load_model
    from ..report.pictures import visualize

    model = load_model(arguments.model)
    arguments.output.mkdir(parents=True, exist_ok=True)
    found = {}
    for image in arguments.images:
        objects = model.predict(image)
        visualize(image, objects, threshold=arguments.threshold, save_dir=str(arguments.output))
        found[image] = [{k: v for k, v in one.items() if k != "mask"} for one in objects]
        drawn = sum(one["score"] >= arguments.threshold for one in objects)
        print(f"{image}: {len(objects)} objects, {drawn} drawn")
    (arguments.output / "predictions.json").write_text(json.dumps(found), encoding="utf-8")
    return 0
