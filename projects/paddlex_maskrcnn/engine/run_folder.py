"""The folder of a run: not another run's, not used twice at a time, and what an earlier run left there.

What the parameters `save_dir` and `if_exists` mean. A folder with a complete model in it belongs to the run
that wrote it: a new run needs another folder, or the word that the old one may go.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..config.schema import TrainParams
from ..inference.model_directory import CARD, SUCCESS, interrupted_saves

logger = logging.getLogger(__name__)

AUTO = "auto"
CONFIG = "config.yaml"  # the settings of the run
# A state from the middle of an epoch: after a signal or an error, or every so many steps.
LATEST = "latest"
# Of the epoch with the best evaluation: weights and card alone, to use and not to go on from.
BEST_MODEL = "best_model"
# Before the step whose loss was not finite: to look at, not to go on from without being named.
DIVERGED = "diverged"
_AUTO_BASE = Path("output", "run")  # output/run_1, output/run_2, ...
_LOCK, _OWNER = ".lock", ".lock_owner"
# What a run writes beside its model directories.
_FILES = (
    CONFIG, "train.log", "metrics.jsonl", "metrics.csv", "report.html", "diverged*.json", ".run_id*",
    ".mlflow_run_id",
)  # fmt: skip
_FOLDERS = ("tensorboard", "vdl_log", "evaluation", "pictures")


def folder_of(params: TrainParams) -> Path:
    """Where a run looks for its checkpoints: of numbered folders the last, the only ones it can go on in."""
    if not _is_numbered(params):
        return Path(params.save_dir)
    numbers = _numbers(_base(params))
    if not numbers:
        return Path(params.save_dir) if params.save_dir != AUTO else _numbered(_base(params), 1)
    return _numbered(_base(params), max(numbers))


def folder_to_resume(params: TrainParams) -> Path | None:
    """The folder of the run that is to go on; None for a new one, also when `auto` finds no model there."""
    if params.resume_checkpoint is None:
        return None
    if params.resume_checkpoint != AUTO:
        return Path(params.resume_checkpoint).parent
    folder = folder_of(params)
    return folder if models_in(folder) else None


def refuse_other_run(params: TrainParams) -> None:
    """Raise ValueError when the folder holds the models of a run that is not to go on or to be replaced."""
    if _is_numbered(params) or params.if_exists == "overwrite":
        return
    folder = Path(params.save_dir)
    models = models_in(folder)
    if models:
        named = ", ".join(models[:3]) + (", ..." if len(models) > 3 else "")
        raise ValueError(
            f"save_dir {str(folder)!r} holds the models of an earlier run ({named}). Go on with it: --resume "
            "(resume_checkpoint='auto'); replace it: --overwrite (if_exists='overwrite'); or keep it: "
            "another save_dir, or save_dir=auto, which counts output/run_1, output/run_2, ..."
        )


def models_in(folder: Path) -> list[str]:
    """Names of the complete model directories in a folder, those of interrupted saves included."""
    if not folder.is_dir():
        return []
    names = {path.parent.name for path in folder.glob(f"*/{SUCCESS}")}
    names = {name for name in names if not name.startswith(".")}
    return sorted(names | {final.name for _, final in interrupted_saves(folder)})


def is_inside(checkpoint: Path | None, folder: Path) -> bool:
    """Whether a run that goes on from a checkpoint goes on in this folder."""
    return checkpoint is not None and checkpoint.parent.resolve() == folder.resolve()


def folder_to_write(params: TrainParams, resume_from: Path | None) -> Path:
    """The folder of a run; of one that begins, numbered folders are made here, each for one run alone.

    Raises:
        OSError: when none can be made.
    """
    if not _is_numbered(params):
        return Path(params.save_dir)
    if is_inside(resume_from, folder_of(params)):
        return folder_of(params)
    base = _base(params)
    if params.save_dir != AUTO and not _numbers(base) and not models_in(base):
        return base
    number = max(_numbers(base), default=0 if params.save_dir == AUTO else 1)
    while True:
        number += 1
        folder = _numbered(base, number)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """No second run in the same folder while the block lasts; the system frees it when a process dies.

    Raises:
        ValueError: when another process has it, which it names.
    """
    lock = FileLock(str(folder / _LOCK))
    owner = folder / _OWNER
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
        raise ValueError(
            f"save_dir {str(folder)!r} is in use by {who}; wait for it, or choose another save_dir"
        ) from error
    except (NotImplementedError, OSError) as error:
        logger.warning(
            "%s cannot be locked (%s): take care that no other run writes there", folder, error
        )
        yield
        return
    try:
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        with contextlib.suppress(OSError):  # a full disk; only the message of others lacks it
            owner.write_text(
                f"process {os.getpid()} on {platform.node()}, since {began}", encoding="utf-8"
            )
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def clear(folder: Path) -> None:
    """Take away all that an earlier run has written; files of others stay."""
    for path in folder.iterdir():
        is_model = path.is_dir() and (
            (path / SUCCESS).is_file()
            or (path / CARD).is_file()
            or re.fullmatch(r"\..+\.(unfinished|old)", path.name)
        )
        if is_model or (path.is_dir() and path.name in _FOLDERS):
            shutil.rmtree(path)
        elif path.is_file() and any(path.match(pattern) for pattern in _FILES):
            path.unlink()


def _is_numbered(params: TrainParams) -> bool:
    return params.save_dir == AUTO or params.if_exists == "number"


def _base(params: TrainParams) -> Path:
    if params.save_dir == AUTO:
        return _AUTO_BASE
    base = Path(params.save_dir)
    return base if base.name not in ("", "..") else base.resolve()


def _numbered(base: Path, number: int) -> Path:
    return base.with_name(f"{base.name}_{number}")


def _numbers(base: Path) -> list[int]:
    pattern = re.compile(rf"{re.escape(base.name)}_([1-9]\d*)")
    if not base.parent.is_dir():
        return []
    matches = [pattern.fullmatch(path.name) for path in base.parent.iterdir()]
    return [int(match[1]) for match in matches if match]
