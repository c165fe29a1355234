"""What a run wrote into its folder, as plain data; whatever is missing is left out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


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

    def rows_of(self, kind: str) -> list[dict[str, Any]]:
        """The rows of one kind."""
        return [row for row in self.rows if row.get("kind") == kind]


def read_run(folder: Path, model: Path | None = None) -> RunFiles:
    """Read a run's folder.

    Args:
        folder: a `save_dir`.
        model: the model directory that was evaluated; None: `best_model` in the folder.
    """
    card = (model or folder / "best_model") / "model.yml"
    return RunFiles(
        folder=folder,
        rows=_rows(folder / "metrics.jsonl"),
        config=_text(folder / "config.yaml"),
        card=yaml.safe_load(_text(card)) or {},
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _rows(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole; the last one of a run that was killed may not be."""
    text = _text(path)
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
