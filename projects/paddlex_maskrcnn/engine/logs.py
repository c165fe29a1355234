"""Logging of a run: metrics files, curves for other services, train.log and the screen.

metrics.jsonl, metrics.csv and TensorBoard events are always written and are continued without gap after a
resume. MLflow, Weights & Biases and VisualDL are used only when asked for; what `loggers` asks for
and is not installed is an error before training. Runs of a resumed training continue under the same id.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import logging
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from .trainer import Progress

JSON_LINES, TABLE = "metrics.jsonl", "metrics.csv"
# Of metrics.csv; values of classes are in metrics.jsonl only.
COLUMNS = (
    "kind", "epoch", "step", "lr", "loss", "loss_cls", "loss_bbox", "loss_mask", "loss_rpn_cls",
    "loss_rpn_bbox", "gradient_norm", "seconds_per_step", "data_share", "images_per_second", "memory_mb",
    "bbox_mmap", "segm_mmap", "bbox_map", "segm_map", "bbox_ap50", "segm_ap50", "val_loss",
)  # fmt: skip

logger = logging.getLogger(__name__)

_FORMAT = logging.Formatter("%(asctime)s [%(levelname)s]\t%(message)s", "%Y-%m-%d %H:%M:%S")
_LOGGER = logging.getLogger("paddlex_maskrcnn")


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
        rows = _rows_up_to(self._lines, progress)
        with _replaced(self._lines) as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        with _replaced(self._table) as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        # purge_step hides events of steps that a resumed run does again
        events = SummaryWriter(str(save_dir / "tensorboard"), purge_step=progress.step + 1)
        self._writers: list[ScalarWriter] = [events, *writers]

    def write(self, kind: str, epoch: int, step: int, values: dict[str, Any]) -> None:
        """One row; nested dicts (per class) go to the JSON lines and the curves only."""
        row = {"kind": kind, "epoch": epoch, "step": step} | values
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(row), allow_nan=False) + "\n")
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
    return [
        row
        for row in _readable_rows(path)
        if row["step"] <= progress.step
        and (row["kind"] != "eval" or row["epoch"] <= progress.closed_epochs)
    ]


def _readable_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file whose writer, or whose machine, may have stopped in the middle of a line."""
    rows, damaged = [], 0
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
            if not isinstance(row["step"], int) or not isinstance(row["epoch"], int):
                raise ValueError
            rows.append({**row, "kind": str(row["kind"])})
        except (ValueError, KeyError, TypeError):
            damaged += bool(line.strip())
    if damaged:
        logger.warning("%s: %d damaged lines are left out", path, damaged)
    return rows


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    """A text file to write, which takes the place of `path` when it is complete."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity: null says that there is no number."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
        names: of the parameter `loggers`.
        run_id: the same for all parts of a resumed run.
        settings: key -> plain value, shown beside the curves.
    """
    kinds: dict[str, Any] = {"mlflow": _MLflow, "wandb": _WandB}
    return [kinds[name](save_dir, run_id, settings) for name in names]


def open_visualdl(folder: Path, steps_per_epoch: int) -> list[ScalarWriter]:
    """VisualDL's writer; none when it is not installed."""
    try:
        from visualdl import LogWriter
    except ImportError:
        logger.info(
            "use_vdl: VisualDL is not installed; the same curves are in TensorBoard's events"
        )
        return []
    return [_VisualDL(LogWriter(str(folder)), steps_per_epoch)]


class _VisualDL:
    """Tags as PaddleX wrote them, whose evaluations count epochs; the empty task id stands before them."""

    def __init__(self, writer: Any, steps_per_epoch: int) -> None:
        self._writer, self._steps_per_epoch = writer, steps_per_epoch

    def add_scalar(self, tag: str, value: float, step: int, /) -> None:
        kind, _, name = tag.partition("/")
        if kind == "train":
            self._writer.add_scalar(f"-Metrics/Training(Step): {name}", value, step)
        else:
            epoch = -(-step // self._steps_per_epoch)  # max_minutes may end inside of one
            self._writer.add_scalar(f"-Metrics/Eval(Epoch): {name}", value, epoch)

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    """Where MLFLOW_TRACKING_URI says, MLflow's own default otherwise; experiment and all by its
    environment variables."""

    def __init__(self, save_dir: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        import mlflow

        self._mlflow = mlflow
        # MLflow makes up its own ids; the file says which one belongs to this run
        id_file = save_dir / ".mlflow_run_id"
        before = id_file.read_text(encoding="utf-8").split() if id_file.is_file() else []
        again = before[1] if before[:1] == [run_id] else None
        run = mlflow.start_run(run_id=again, run_name=None if again else save_dir.name)
        id_file.write_text(f"{run_id} {run.info.run_id}", encoding="utf-8")
        if again is None:
            mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def add_scalar(self, tag: str, value: float, step: int, /) -> None:
        # class names may hold characters that MLflow refuses
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


class _Screen(logging.Handler):
    """Standard output; `tqdm.write` keeps a live bar whole.

    In a terminal long lines go on in the next one, at 120 columns, and warnings are yellow, errors red.
    """

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if sys.stdout.isatty():
            text = _in_columns(text)
            color = next((code for level, code in _COLORS if record.levelno >= level), "")
            text = f"{color}{text}{_PLAIN}" if color else text
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()


class _LogFile(logging.FileHandler):
    """A file whose disk may be full: told once, where models are saved, not with each line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Leave the line out."""


_COLUMNS = 120
_COLORS = ((logging.ERROR, "\x1b[31m"), (logging.WARNING, "\x1b[33m"))
_PLAIN = "\x1b[0m"


def _in_columns(text: str) -> str:
    """Lines of 120 columns at most; what follows a break is indented. Tables stay as they are."""
    first, newline, rest = text.partition("\n")
    lines = textwrap.wrap(
        first.expandtabs(),
        _COLUMNS,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + newline + rest


def _is_shown() -> bool:
    """Whether our lines come to the screen already: by a block around this one, or the user's logging."""
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    theirs = (
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in streams
    )
    return any(isinstance(handler, _Screen) for handler in _LOGGER.handlers) or any(theirs)


def _level_of_screen() -> int:
    """What `paddlex_maskrcnn.log_level` lets through."""
    import paddlex_maskrcnn as package  # as it is now: a script assigns to it

    levels = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
    if package.log_level not in range(len(levels)):
        raise ValueError(
            f"log_level is {package.log_level!r}; allowed: 0 (errors), 1 (warnings), 2 (what happens), "
            "3 (everything)"
        )
    return levels[package.log_level]


@contextlib.contextmanager
def no_log() -> Iterator[None]:
    """Leave out our log lines while the block runs, as another one is going to say the same."""
    before = _LOGGER.level
    _LOGGER.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        _LOGGER.setLevel(before)


@contextlib.contextmanager
def run_log(save_dir: Path | None = None) -> Iterator[logging.Logger]:
    """Show our log lines on the screen while the block runs, and append them to save_dir/train.log.

    `paddlex_maskrcnn.log_level` decides what the screen gets; the file has the same at any level. Each line
    comes once: blocks may stand in each other, and where the user's own logging shows lines on the screen
    these are enough. Of several processes the main one speaks.
    """
    if os.environ.get("RANK", "0") != "0":
        yield _LOGGER
        return
    handlers: list[logging.Handler] = [] if _is_shown() else [_Screen()]
    if save_dir is not None:
        handlers.append(_LogFile(save_dir / "train.log", encoding="utf-8"))
    before, least = _LOGGER.level, _level_of_screen()
    _LOGGER.setLevel(min(logging.INFO, least))
    for handler in handlers:
        handler.setLevel(least if isinstance(handler, _Screen) else logging.INFO)
        handler.setFormatter(_FORMAT)
        _LOGGER.addHandler(handler)
    try:
        yield _LOGGER
    finally:
        for handler in handlers:
            _LOGGER.removeHandler(handler)
            handler.close()
        _LOGGER.setLevel(before)
