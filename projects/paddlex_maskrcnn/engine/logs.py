"""metrics.jsonl, metrics.csv and TensorBoard events of a run, continued without gap after a resume."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from .loggers import ScalarWriter
from .trainer import Progress

JSON_LINES, TABLE = "metrics.jsonl", "metrics.csv"
COLUMNS = (
    "kind", "epoch", "step", "lr", "loss", "loss_cls", "loss_bbox", "loss_mask", "loss_rpn_cls",
    "loss_rpn_bbox", "gradient_norm", "seconds_per_step", "data_share", "images_per_second", "memory_mb",
    "bbox_mmap", "segm_mmap", "bbox_map", "segm_map", "bbox_ap50", "segm_ap50", "val_loss",
)  # fmt: skip


class MetricsLog:
    """Writes rows of `kind` train (every log line) and eval (every evaluation)."""

    def __init__(
        self, save_dir: Path, progress: Progress, writers: Sequence[ScalarWriter] = ()
    ) -> None:
        """Open the files; rows beyond `progress` of an interrupted run are taken away first.

        Args:
            writers: services that get every number too.
        """
        self._lines, self._table = save_dir / JSON_LINES, save_dir / TABLE
        kept = _rows_up_to(self._lines, progress)
        self._lines.write_text("".join(f"{json.dumps(row)}\n" for row in kept), encoding="utf-8")
        with self._table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        events = SummaryWriter(str(save_dir / "tensorboard"), purge_step=progress.step + 1)
        self._writers: list[ScalarWriter] = [events, *writers]

    def write(self, kind: str, epoch: int, step: int, values: dict[str, Any]) -> None:
        """One row; nested dicts (per class) go to the JSON lines and the curves only."""
        row = {"kind": kind, "epoch": epoch, "step": step} | values
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_without_nan(row)) + "\n")
        with self._table.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS, extrasaction="ignore").writerow(row)
        for name, value in values.items():
            parts = value if isinstance(value, dict) else {"": value}
            for part, number in parts.items():
                for writer in self._writers:
                    writer.add_scalar("/".join(filter(None, (kind, name, part))), number, step)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


class NoMetricsLog(MetricsLog):
    """Of the processes beside the main one: writes nothing."""

    def __init__(self) -> None:
        """Nothing to open."""

    def write(self, kind: str, epoch: int, step: int, values: dict[str, Any]) -> None:
        """Leave it to the main process."""

    def close(self) -> None:
        """Nothing to close."""


def _rows_up_to(path: Path, progress: Progress) -> list[dict[str, Any]]:
    """Rows of steps that are done; of an epoch that is not closed its evaluation comes again."""
    if progress.step == 0 or not path.is_file():
        return []
    rows = [json.loads(line) for line in _whole_lines(path)]
    return [
        row
        for row in rows
        if row["step"] <= progress.step
        and (row["kind"] != "eval" or row["epoch"] <= progress.closed_epochs)
    ]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file whose writer may have been killed in the middle of the last one."""
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null says the same."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
