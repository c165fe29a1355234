"""Log lines to the screen and to train.log; above the progress bar when there is one."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

_FORMAT = logging.Formatter("%(asctime)s [%(levelname)s]\t%(message)s", "%Y-%m-%d %H:%M:%S")
_LOGGER = logging.getLogger("paddlex_maskrcnn")


class _Screen(logging.Handler):
    """Standard output; `tqdm.write` keeps a live bar whole."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


@contextlib.contextmanager
def run_log(save_dir: Path | None = None) -> Iterator[logging.Logger]:
    """Show our log lines on the screen while the block runs, and append them to save_dir/train.log."""
    handlers: list[logging.Handler] = [_Screen()]
    if save_dir is not None:
        handlers.append(logging.FileHandler(save_dir / "train.log", encoding="utf-8"))
    before = _LOGGER.level
    _LOGGER.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(_FORMAT)
        _LOGGER.addHandler(handler)
    try:
        yield _LOGGER
    finally:
        for handler in handlers:
            _LOGGER.removeHandler(handler)
            handler.close()
        _LOGGER.setLevel(before)
