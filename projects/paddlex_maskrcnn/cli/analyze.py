"""``analyze``: where a model is right and where it fails, as one page that needs nothing else."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..requirements import require_detectron2
from .processes import is_launched, join

if TYPE_CHECKING:
    from ..data.datasets.base import DetectionDataset
    from ..maskrcnn import MaskRCNN

HELP = "show how good a run's model is and where it fails: one HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN_DIR", help="a save_dir, such as output/quickstart"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="whose data.eval to use (default: RUN_DIR/config.yaml)"
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="with --ann-file: images of other data, in COCO format"
    )
    parser.add_argument("--ann-file", metavar="FILE", help="with --data-dir: its annotations")
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
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="section.key=value",
        help="after RUN_DIR: settings that win over the file",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the page and say where it is."""
    if not arguments.run.is_dir():
        raise ValueError(f"there is no run directory {arguments.run}")
    if arguments.results:
        from ..report.run_report import read_results, write_run_report

        path = write_run_report(
            arguments.run, _dataset(arguments), read_results(arguments.results),
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
    written = evaluate_and_report(
        model, _dataset(arguments), arguments.run, model_dir=model_dir, output=arguments.output,
        threshold=arguments.threshold, num_pictures=arguments.pictures,
    )  # fmt: skip
    if written:
        print(f"The page is {written}")
    return 0


def evaluate_and_report(
    model: MaskRCNN,
    dataset: DetectionDataset,
    run_dir: Path,
    *,
    model_dir: Path | None = None,
    output: Path | None = None,
    threshold: float | None = None,
    num_pictures: int = 12,
    batch_size: int = 1,
    metric: str | None = None,
    backend: str = "auto",
) -> Path | None:
    """Evaluate a model and write the page and result files; with several processes call it in all.

    Args:
        model: with weights.
        dataset: held-out data.
        run_dir: whose curves and configuration the page shows.
        model_dir: where the model is saved; None: `best_model` of the run.
        output: folder to write into; None: run_dir.
        threshold: score from which detections are shown and counted; None: where F1 is best.
        num_pictures: of the worst images, at most.
        batch_size: images evaluated together.
        metric: COCO or VOC; None: as in training.
        backend: library that computes AP, as in `evaluate`.

    Returns:
        the page's file; None in processes beside the main one.
    """
    from ..engine.processes import is_main
    from ..engine.run_log import run_log
    from ..report.run_report import write_run_report

    with run_log() if is_main() else nullcontext():
        model.evaluate(dataset, batch_size=batch_size, metric=metric, backend=backend)
    evaluation = model.last_evaluation
    assert evaluation is not None
    if not is_main():
        return None
    output = output or run_dir
    evaluation.write(output / "evaluation", dataset)
    return write_run_report(
        run_dir, dataset, evaluation.results, model_dir=model_dir, output=output,
        max_detections=model.params.keep_top_k, threshold=threshold, num_pictures=num_pictures,
        note=evaluation.note,
    )  # fmt: skip


def _dataset(arguments: argparse.Namespace) -> DetectionDataset:
    if arguments.data_dir or arguments.ann_file:
        if not (arguments.data_dir and arguments.ann_file):
            raise ValueError("--data-dir and --ann-file belong together: give both or none")
        from ..datasets import CocoDetection

        return CocoDetection(arguments.data_dir, arguments.ann_file)
    from ..config.load import load_experiment
    from .train import open_dataset

    config = Path(arguments.config or arguments.run / "config.yaml")
    if not arguments.config and not config.is_file():
        raise ValueError(
            f"{arguments.run} has no config.yaml that says which data to use; give --config, or "
            "--data-dir and --ann-file"
        )
    loaded = load_experiment(str(config), list(arguments.overrides))
    if loaded.experiment.data.eval is None:
        raise ValueError(
            f"{config} has no data.eval; give another --config, or --data-dir and --ann-file"
        )
    return open_dataset(loaded, "eval")
