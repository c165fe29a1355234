"""From a run's folder and an evaluation to its page and files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..config import yaml_io
from ..data.datasets.base import DetectionDataset
from ..metrics.analysis import Analysis, analyse
from ..metrics.average_precision import class_rows
from ..metrics.evaluation import Comparison, Evaluation, compare, without_nan
from ..metrics.results import BBOX, SEGM, ResultRows
from ..metrics.truth import Truth
from .comparisons import ReadImage, worst_images
from .html.charts import training_charts
from .html.page import Page, render
from .pictures import read_viewable

_LIMIT = 100  # COCO's
REPORT, NUMBERS, CLASSES = "report.html", "analysis.json", "classes.csv"


def write_evaluation(
    evaluation: Evaluation,
    dataset: DetectionDataset,
    run_dir: Path,
    output: Path | None = None,
    **page: Any,
) -> Path:
    """Write the result files of an evaluation into `evaluation`, and the page.

    Args:
        dataset: that was evaluated on.
        run_dir: whose curves and configuration the page shows.
        output: folder to write into; None: run_dir.
        page: other arguments of `write_run_report`.

    Returns:
        the page's file.
    """
    evaluation.write((output or run_dir) / "evaluation", dataset)
    return write_run_report(
        run_dir, dataset, evaluation.comparisons, output=output, note=evaluation.note, **page
    )


def write_run_report(
    run_dir: Path,
    dataset: DetectionDataset,
    comparisons: Mapping[str, Comparison],
    *,
    model_dir: Path | None = None,
    output: Path | None = None,
    threshold: float | None = None,
    num_pictures: int = 12,
    note: str = "",
) -> Path:
    """Write `report.html`, and beside it in `evaluation` the numbers: `analysis.json`, `classes.csv`.

    Args:
        run_dir: a run's `save_dir`; what it recorded (curves, configuration) goes into the page.
        dataset: the held-out data.
        comparisons: kind (`segm`, `bbox`) -> detections compared with the annotations.
        model_dir: the model that was evaluated; None: `best_model` of the run.
        output: folder to write into; None: run_dir.
        threshold: score for the confusion matrix and the pictures; None: where F1 is best.
        num_pictures: of the worst images, at most.
        note: why an average precision is zero or undefined.

    Returns:
        the page's file.

    Raises:
        ValueError: when there is nothing to analyse.
    """
    output = output or run_dir
    run = read_run(run_dir, model_dir)
    analyses = [
        analyse(comparisons[kind], threshold) for kind in (SEGM, BBOX) if kind in comparisons
    ]
    if not analyses:
        raise ValueError(f"there are no results of {SEGM} or {BBOX} to analyse")
    page = Page(
        title=f"{run.folder.resolve().name} on {PurePath(dataset.name).name}",
        facts=_facts(run, analyses[0]),
        analyses=analyses,
        training=training_charts(run.rows),
        worst=worst_images(analyses[0], _reader(dataset), num_pictures),
        note=note,
        config=run.config,
    )
    _write_numbers(output / "evaluation", analyses)
    path = output / REPORT
    path.write_text(render(page), encoding="utf-8")
    return path


def compare_results(
    results: Mapping[str, ResultRows],
    dataset: DetectionDataset,
    run_dir: Path,
    model_dir: Path | None = None,
) -> dict[str, Comparison]:
    """Result rows that no evaluation of ours has compared yet: kind -> comparison.

    Args:
        results: kind (`segm`, `bbox`) -> rows.
        run_dir, model_dir: as of `write_run_report`; as many detections of an image count as the
            `keep_top_k` that the model recorded, otherwise COCO's 100.

    Raises:
        ValueError: for results that do not belong to the data.
    """
    truth = Truth.of(dataset.coco_gt)
    limit = read_run(run_dir, model_dir).keep_top_k or _LIMIT
    return {kind: compare(truth, rows, kind, limit) for kind, rows in results.items()}


@dataclass(frozen=True)
class RunFiles:
    """A run's own record.

    Attributes:
        folder: where it is.
        rows: of metrics.jsonl, in order: `kind` train (losses, lr) or eval.
        config: text of config.yaml.
        card: content of a model's model.yml.
    """

    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    config: str = ""
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def keep_top_k(self) -> int | None:
        """Detections of an image that the model leaves, if it is recorded."""
        return self.card.get("params", {}).get("keep_top_k")


def read_run(folder: Path, model: Path | None = None) -> RunFiles:
    """Read a run's folder.

    Args:
        folder: a `save_dir`.
        model: the model directory that was evaluated; None: `best_model` in the folder.
    """
    card = (model or folder / "best_model") / "model.yml"
    return RunFiles(
        folder=folder,
        rows=_whole_lines(folder / "metrics.jsonl"),
        config=_text(folder / "config.yaml"),
        card=yaml_io.load(_text(card)) or {},
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole; the last one of a run that was killed may not be."""
    text = _text(path)
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def read_results(folder: Path) -> dict[str, ResultRows]:
    """The COCO result files that an evaluation wrote: kind -> rows.

    Raises:
        ValueError: when there are none, or one is not a list of results.
    """
    results = {}
    for kind in (SEGM, BBOX):
        path = folder / f"{kind}_results.json"
        if path.is_file():
            results[kind] = _read_rows(path)
    if not results:
        raise ValueError(f"there is no {SEGM}_results.json and no {BBOX}_results.json in {folder}")
    return results


def _read_rows(path: Path) -> ResultRows:
    try:
        return ResultRows(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no list of COCO results: {error!r}") from None


def _reader(dataset: DetectionDataset) -> ReadImage:
    pictures = {
        record["image_id"]: (
            record["file_name"],
            (record["height"], record["width"]),
            record.get("as_stored", False),
        )
        for record in dataset.records
    }

    def read(image_id: int) -> np.ndarray:
        return read_viewable(*pictures[image_id])

    return read


def _facts(run: RunFiles, analysis: Analysis) -> list[tuple[str, str]]:
    truth = analysis.truth
    facts = [
        ("images", f"{len(truth.image_ids)}"),
        ("objects", f"{int(truth.num_objects.sum())}"),
        ("classes", f"{len(truth.names)}"),
        ("detections", f"{len(analysis.overlaps.scores)}"),
    ]
    card = run.card
    if card:
        params = card.get("params", {})
        facts.insert(0, ("backbone", str(params.get("backbone", "?"))))
        facts.append(("trained epochs", str(card.get("completed_epochs", "?"))))
        facts.append(("made with", f"paddlex_maskrcnn {card.get('version', '?')}"))
    return facts


def _write_numbers(folder: Path, analyses: list[Analysis]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = without_nan({analysis.kind: analysis.as_plain() for analysis in analyses})
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (folder / NUMBERS).write_text(text, encoding="utf-8")
    with (folder / CLASSES).open("w", newline="", encoding="utf-8") as file:
        rows = [
            {"kind": analysis.kind} | without_nan(row)
            for analysis in analyses
            for row in class_rows(analysis.average_precision)
        ]
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["kind"])
        writer.writeheader()
        writer.writerows(rows)
