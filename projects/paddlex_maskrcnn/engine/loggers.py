"""MLflow, Weights & Biases and VisualDL: writers of scalars with TensorBoard's method.

Each is used only when asked for; what is asked for by `loggers` and not installed is an error before
training. Runs of a resumed training continue under the same id.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)


class ScalarWriter(Protocol):
    """What a service must do; `SummaryWriter` of TensorBoard does."""

    def add_scalar(self, tag: str, value: float, step: int, /) -> None: ...
    def close(self) -> None: ...


def check_loggers(names: Sequence[str]) -> None:
    """Raise ValueError when a service that was asked for is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"loggers names {name}, which is not installed: pip install {name}")


def open_loggers(
    names: Sequence[str], save_dir: Path, run_id: str, settings: Mapping[str, Any]
) -> list[ScalarWriter]:
    """A writer for each service.

    Args:
        names: of the row `loggers`.
        run_id: the same for all parts of a resumed run.
        settings: key -> plain value, shown beside the curves.
    """
    kinds: dict[str, Any] = {"mlflow": _MLflow, "wandb": _WandB}
    return [kinds[name](save_dir, run_id, settings) for name in names]


def open_visualdl(folder: Path) -> list[ScalarWriter]:
    """VisualDL's writer, which takes scalars as TensorBoard's does; none when it is not installed."""
    try:
        from visualdl import LogWriter
    except ImportError:
        logger.info(
            "use_vdl: VisualDL is not installed; the same curves are in TensorBoard's events"
        )
        return []
    return [LogWriter(str(folder))]


class _MLflow:
    """Where MLFLOW_TRACKING_URI says, MLflow's own default otherwise; experiment and all by its
    environment variables."""

    def __init__(self, save_dir: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        import mlflow

        self._mlflow = mlflow
        known = save_dir / ".mlflow_run_id"
        before = known.read_text(encoding="utf-8").split() if known.is_file() else []
        again = before[1] if before[:1] == [run_id] else None
        run = mlflow.start_run(run_id=again, run_name=None if again else save_dir.name)
        known.write_text(f"{run_id} {run.info.run_id}", encoding="utf-8")
        if again is None:
            mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def add_scalar(self, tag: str, value: float, step: int, /) -> None:
        self._mlflow.log_metric(re.sub(r"[^\w./ -]", "_", tag), value, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


class _WandB:
    """Project and all by W&B's environment variables (WANDB_PROJECT, WANDB_MODE=offline, ...)."""

    def __init__(self, save_dir: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            dir=str(save_dir), id=run_id, resume="allow", name=save_dir.name, config=dict(settings)
        )

    def add_scalar(self, tag: str, value: float, step: int, /) -> None:
        self._run.log({tag: value}, step=step)

    def close(self) -> None:
        self._run.finish()
