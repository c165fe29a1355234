"""``evaluate``: COCO's numbers of a saved model on held-out data."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config.check import check_arguments
from ..config.schema import EvaluateParams
from ..requirements import require_detectron2
from .experiment import add_eval_data_arguments, evaluated, open_eval_data
from .processes import is_launched, join

HELP = "compute the average precision of a saved model on held-out data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL_DIR", help="such as output/quickstart/best_model"
    )
    add_eval_data_arguments(parser, "config.yaml of the run, beside MODEL_DIR")
    parser.add_argument("--metric", choices=("COCO", "VOC"), help="default: that of the training")
    parser.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="images together; same numbers"
    )
    # chose a library once; scripts that still give it go on, with a note
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help="write bbox_results.json, segm_results.json, metrics.json and eval_details.json there",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print the tables."""
    settings = {"batch_size": arguments.batch_size, "metric": arguments.metric}
    retired = {"backend": arguments.backend} if arguments.backend else {}
    # before the slow imports; the data set takes its place when it is open
    params = check_arguments(EvaluateParams, {"eval_dataset": None, **settings, **retired})
    require_detectron2()
    if is_launched():
        join(arguments.device)
    from .. import load_model

    model = load_model(arguments.model, arguments.device)
    dataset = open_eval_data(arguments, arguments.model.parent / "config.yaml")
    evaluation = evaluated(model, dataset, params)
    if arguments.output and evaluation is not None:
        evaluation.write(arguments.output, dataset)
        print(f"The results are in {arguments.output}")
    return 0
