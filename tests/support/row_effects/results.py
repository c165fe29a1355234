"""Cases of the rows of `EvaluateParams` and `PredictParams`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.cli import main
from paddlex_maskrcnn.config.schema import EvaluateParams, PredictParams

from .laboratory import REPLACEMENTS, Laboratory, shared, shows
from .watch import Watch, watching

CONFIG = """
data:
  eval: {type: DrawnShapes, data_dir: DIR/shapes, split: val, num_images: 2, image_size: 64, num_workers: 0}
  transforms:
    eval: [Normalize, {ResizeByShort: {short_size: 32, max_size: 48}}]
train: {num_epochs: 1, save_dir: OUT}
"""

REPLACEMENTS[EvaluateParams, "eval_dataset"] = lambda lab: lab.material.drawn("other", 2)


@shows(EvaluateParams, "eval_dataset")
def images_are_those_of_the_data_set(lab: Laboratory) -> None:
    _, details, _ = evaluation(lab)
    given = lab.material.eval_data.coco_gt.dataset
    assert details["gt"]["annotations"] == given["annotations"]


@shows(EvaluateParams, "batch_size")
def images_are_evaluated_together(lab: Laboratory) -> None:
    _, _, watch = evaluation(lab)
    assert set(watch.together) == {2}


@shows(EvaluateParams, "epoch_id")
def epoch_is_named_in_the_log(lab: Laboratory) -> None:
    _, _, watch = evaluation(lab)
    assert "[EVAL] Finished, Epoch=17, bbox_" in watch.text


@shows(EvaluateParams, "metric")
def metric_is_the_one_named(lab: Laboratory) -> None:
    metrics, _, _ = evaluation(lab)
    assert set(metrics) == {"bbox_map", "segm_map"}


@shows(EvaluateParams, "return_details")
def details_are_returned_too(lab: Laboratory) -> None:
    _, details, _ = evaluation(lab)
    assert set(details) == {"bbox", "mask", "gt"}
    assert len(details["bbox"]) > 0


@shared
def evaluation(lab: Laboratory) -> tuple[dict, dict, Watch]:
    """Metrics, details (empty when none are returned) and watch."""
    model = pdx.load_model(lab.material.saved, "cpu")
    with watching() as watch:
        returned = model.evaluate(
            lab.material.eval_data, batch_size=2, epoch_id=17, metric="VOC", return_details=True
        )
    metrics, details = returned if isinstance(returned, tuple) else (returned, {})
    return metrics, details, watch


@shows(PredictParams, "num_pictures", "report")
def one_picture_is_drawn_and_no_page_written(lab: Laboratory) -> None:
    folder = evaluated_by_command(lab, 0.01)
    assert (folder / "evaluation").is_dir()
    assert len(pictures(folder)) == 1
    assert not list(folder.rglob("*.html"))


@shows(PredictParams, "picture_threshold")
def predictions_below_the_threshold_are_not_drawn(lab: Laboratory) -> None:
    """Random weights give every box a score of about a quarter."""
    drawn, left_out = (pictures(evaluated_by_command(lab, value))[0] for value in (0.01, 0.9))
    middle = drawn.shape[1] // 2
    gap = 8
    assert np.array_equal(drawn[:, : middle - gap], left_out[:, : middle - gap])  # the truth
    assert not np.array_equal(drawn[:, middle:], left_out[:, middle:])


def evaluated_by_command(lab: Laboratory, threshold: float) -> Path:
    """What `train --eval-only` leaves with one picture drawn from this threshold on, and no page."""
    folder = lab.folder / f"threshold_{threshold}"
    if not folder.exists():
        config = lab.folder / "experiment.yaml"
        text = CONFIG.replace("DIR", str(lab.material.folder)).replace("OUT", str(folder))
        config.write_text(
            f"{text}predict: {{num_pictures: 1, picture_threshold: {threshold}, report: false}}"
        )
        model = ["--model", str(lab.material.saved)]
        with watching():
            assert main(["train", "--config", str(config), "--eval-only", *model]) == 0
    return folder


def pictures(folder: Path) -> list[np.ndarray]:
    return [cv2.imread(str(path)) for path in sorted((folder / "pictures").glob("*.png"))]
