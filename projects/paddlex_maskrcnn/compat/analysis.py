"""`pdx.datasets.analysis`: what is in a data set, before training on it; a front of `check`.

Origin: PaddleX 1.3 `paddlex.datasets.analysis.Seg`, statistics of sizes, channels, values and classes of data
for semantic segmentation. Difference: `Det`, for instance segmentation.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..config.schema import ModelParams, OperatorLists
from ..data.check.inspection import Inspection, Part, inspect
from ..data.check.plan import AnchorSet, Plan, normalize_of, resizing_of
from ..data.datasets.base import DetectionDataset
from .refused import sentence_for


class Det:
    """Sizes, values, classes, objects and anchors of a data set, and what is wrong with it."""

    def __init__(
        self, dataset: DetectionDataset, eval_dataset: DetectionDataset | None = None
    ) -> None:
        """Keep the data.

        Args:
            dataset: training data.
            eval_dataset: held-out data, to be compared with it.
        """
        data = {"train": dataset, "eval": eval_dataset} if eval_dataset else {"data": dataset}
        self._parts = [Part(name, each, []) for name, each in data.items()]

    def analysis(self, save_dir: str | os.PathLike[str] | None = None) -> Inspection:
        """Read every image, print the tables and findings, and return all that was measured.

        Args:
            save_dir: a folder for the same with pictures, `check.html`; None writes nothing.
        """
        from ..report.check_page.page import as_page
        from ..report.check_page.text import as_text

        inspection = inspect(self._parts, _default_plan())
        print(as_text(inspection))
        if save_dir is not None:
            page = Path(save_dir) / "check.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(as_page(inspection, self._parts, 0), encoding="utf-8")
            print(f"page with pictures: {page}")
        return inspection


def _default_plan() -> Plan:
    """What training with the default values does with the data."""
    model, operators = ModelParams(), OperatorLists().train
    words, new_size = resizing_of(operators)
    anchors = AnchorSet(tuple(model.anchor_sizes), tuple(model.aspect_ratios), model.with_fpn)
    return Plan(words, new_size, anchors, model.keep_top_k, normalize_of(operators))


def __getattr__(name: str) -> Any:
    raise AttributeError(
        sentence_for(f"datasets.analysis.{name}")
        or f"module {__name__!r} has no attribute {name!r}",
        name=name,
    )
