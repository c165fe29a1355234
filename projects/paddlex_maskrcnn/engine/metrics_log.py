"""metrics.jsonl, metrics.csv and TensorBoard events of a run, continued without gap after a resume."""

from __future__ import annotations

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

JSON_LINES, TABLE = "metrics.jsonl", "metrics.csv"
COLUMNS = (
    "kind", "epoch", "step", "lr", "loss", "loss_cls", "loss_bbox", "loss_mask", "loss_rpn_cls",
    "loss_rpn_bbox", "seconds_per_step", "data_share", "images_per_second", "memory_mb",
    "bbox_mmap", "segm_mmap", "bbox_map", "segm_map", "bbox_ap50", "segm_ap50",
)  # fmt: skip


class MetricsLog:
    """Writes rows of `kind` train (every log line) and eval (every evaluation)."""

    def __init__(self, save_dir: Path, start_step: int, use_vdl: bool = False) -> None:
        """Open the files; rows after `start_step` of an interrupted run are taken away first.

        Args:
            use_vdl: write VisualDL logs too, when VisualDL is installed.
        """
        self._lines, self._table = save_dir / JSON_LINES, save_dir / TABLE
        kept = _rows_up_to(self._lines, start_step)
        self._lines.write_text("".join(f"{json.dumps(row)}\n" for row in kept), encoding="utf-8")
        with self._table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        self._writers: list[Any] = [
            SummaryWriter(str(save_dir / "tensorboard"), purge_step=start_step + 1)
        ]
        if use_vdl:
            self._writers += _visualdl(save_dir / "vdl_log")

    def write(self, kind: str, epoch: int, step: int, values: dict[str, Any]) -> None:
        """One row; nested dicts (per class) go to the JSON lines and TensorBoard only."""
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


def _visualdl(folder: Path) -> list[Any]:
    """VisualDL's writer, which takes scalars as TensorBoard's does; none when it is not installed."""
    try:
        from visualdl import LogWriter
    except ImportError:
        logger.info(
            "use_vdl: VisualDL is not installed; the same curves are in TensorBoard's events"
        )
        return []
    return [LogWriter(str(folder))]


def _rows_up_to(path: Path, step: int) -> list[dict[str, Any]]:
    if step == 0 or not path.is_file():
        return []
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["step"] <= step]


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null says the same."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
