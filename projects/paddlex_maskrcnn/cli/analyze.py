"""``analyze``: where a model is right and where it fails, as one page that needs nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config.schema import EvaluateParams
from ..requirements import require_detectron2
from .experiment import add_eval_data_arguments, evaluated, open_eval_data
from .processes import is_launched, join

HELP = "show how good a run's model is and where it fails: one HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN_DIR", help="a save_dir, such as output/quickstart"
    )
    add_eval_data_arguments(parser, "RUN_DIR/config.yaml")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="the model (default: RUN_DIR/best_model)"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR",
        help="analyse the segm_results.json and bbox_results.json there instead of running a model",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write (default: RUN_DIR)"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="SCORE",
        help="score from which detections are shown and counted (default: where F1 is best)",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=int, default=12, metavar="N", help="of the worst images (default: 12)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the page and say where it is."""
    if not arguments.run.is_dir():
        raise ValueError(f"there is no run directory {arguments.run}")
    from ..report.run_report import (
        compare_results,
        read_results,
        write_evaluation,
        write_run_report,
    )

    page = {
        "model_dir": arguments.model, "output": arguments.output,
        "threshold": arguments.threshold, "num_pictures": arguments.pictures,
    }  # fmt: skip
    if arguments.results:
        dataset = open_eval_data(arguments, arguments.run / "config.yaml")
        results = read_results(arguments.results)
        comparisons = compare_results(results, dataset, arguments.run, arguments.model)
        path = write_run_report(arguments.run, dataset, comparisons, **page)
        print(f"The page is {path}")
        return 0
    require_detectron2()
    if is_launched():
        join(arguments.device)
    from .. import load_model

    page["model_dir"] = arguments.model or arguments.run / "best_model"
    model = load_model(page["model_dir"], arguments.device)
    dataset = open_eval_data(arguments, arguments.run / "config.yaml")
    evaluation = evaluated(model, dataset, EvaluateParams(eval_dataset=None))
    if evaluation is not None:
        path = write_evaluation(evaluation, dataset, arguments.run, **page)
        print(f"The page is {path}")
    return 0
