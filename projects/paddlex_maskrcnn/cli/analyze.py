"""``analyze``: where a model is right and where it fails, as one page that needs nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..requirements import require_detectron2
from .held_out import add_held_out_arguments, evaluated, open_held_out
from .processes import is_launched, join

if TYPE_CHECKING:
    from ..data.datasets.base import DetectionDataset
    from ..engine.evaluate import Evaluation

HELP = "show how good a run's model is and where it fails: one HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN_DIR", help="a save_dir, such as output/quickstart"
    )
    add_held_out_arguments(parser, "RUN_DIR/config.yaml")
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
    if arguments.results:
        dataset = open_held_out(arguments, arguments.run / "config.yaml")
        from ..report.run_report import read_results, write_run_report

        path = write_run_report(
            arguments.run, dataset, read_results(arguments.results),
            model_dir=arguments.model, output=arguments.output, threshold=arguments.threshold,
            num_pictures=arguments.pictures,
        )  # fmt: skip
        print(f"The page is {path}")
        return 0
    require_detectron2()
    if is_launched():
        join(arguments.device)
    from .. import load_model

    model_dir = arguments.model or arguments.run / "best_model"
    model = load_model(model_dir, arguments.device)
    dataset = open_held_out(arguments, arguments.run / "config.yaml")
    evaluation = evaluated(model, dataset)
    if evaluation is not None:
        path = write_report(
            evaluation, dataset, arguments.run, arguments.output, model_dir=model_dir,
            threshold=arguments.threshold, num_pictures=arguments.pictures,
        )  # fmt: skip
        print(f"The page is {path}")
    return 0


def write_report(
    evaluation: Evaluation,
    dataset: DetectionDataset,
    run_dir: Path,
    output: Path | None = None,
    **page: Any,
) -> Path:
    """Write the page and result files of an evaluation.

    Args:
        dataset: that was evaluated on.
        run_dir: whose curves and configuration the page shows.
        output: folder to write into; None: run_dir.
        page: other arguments of `write_run_report`.

    Returns:
        the page's file.
    """
    from ..report.run_report import write_run_report

    evaluation.write((output or run_dir) / "evaluation", dataset)
    return write_run_report(
        run_dir, dataset, evaluation.results, output=output, note=evaluation.note, **page
    )
