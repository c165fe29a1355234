"""Disconnect each row of the schema in turn, and show that its case fails.

    PYTHONPATH=projects:tests python tests/config/disconnect_rows.py [NAME ...]

A disconnected row keeps its checks, but whoever reads it afterwards gets the default: the attribute of
the class of parameters is replaced by one that ignores what is written to it. Exits with 1 when a case
passes all the same, or fails by something that is neither an assertion nor a refusal (ValueError) of
the product.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from paddlex_maskrcnn.config import schema
from paddlex_maskrcnn.config.params import REQUIRED, default_of
from support.row_effects import CASES, REPLACEMENTS, Laboratory, Material

SECTIONS = (schema.ModelParams, schema.TrainParams, schema.EvaluateParams, schema.PredictParams)


class Disconnected:
    """An attribute that has one value, whatever is written to it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self._value

    def __set__(self, instance: object, value: Any) -> None:
        """Forget it."""


@contextlib.contextmanager
def disconnected(kind: type, name: str, value: Any) -> Iterator[None]:
    """Objects of `kind` have this value in the row while the block runs."""
    missing = object()
    before = vars(kind).get(name, missing)
    setattr(kind, name, Disconnected(value))
    try:
        yield
    finally:
        if before is missing:
            delattr(kind, name)
        else:
            setattr(kind, name, before)


def outcome(kind: type, name: str, laboratory: Laboratory) -> tuple[bool, str]:
    """Whether the case of a row fails as it should when the row is disconnected, and how."""
    default = next(default_of(this) for this in fields(kind) if this.name == name)
    if (kind, name) in REPLACEMENTS:
        default = REPLACEMENTS[kind, name](laboratory)
    assert default is not REQUIRED, f"{name} has no default: give it a value in REPLACEMENTS"
    case = CASES[kind, name]
    try:
        with disconnected(kind, name, default), contextlib.redirect_stdout(io.StringIO()):
            case(laboratory)
    except (AssertionError, ValueError, pytest.fail.Exception) as error:
        return True, f"{case.__name__}: {_in_a_line(error)}"
    except Exception as error:
        return False, f"{case.__name__} BREAKS: {_in_a_line(error)}"
    return False, f"{case.__name__} PASSES ALL THE SAME"


def _in_a_line(error: BaseException) -> str:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if "row_effects" in trace.tb_frame.f_code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(str(error).split())[:90]
    return f"{type(error).__name__} (line {line}) {text}".rstrip()


def main(names: list[str]) -> int:
    """Print a line for each row; the exit status."""
    rows = [(kind, this.name) for kind in SECTIONS for this in fields(kind)]
    rows = [row for row in rows if not names or row[1] in names]
    bad = 0
    # a run whose save_dir is disconnected writes into the working directory
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        material = Material(Path(folder))
        material.saved  # noqa: B018  (made while every row is connected)
        for number, (kind, name) in enumerate(rows):
            own_folder = Path(folder) / str(number)
            own_folder.mkdir()
            started = time.perf_counter()
            good, text = outcome(kind, name, Laboratory(own_folder, material))
            bad += not good
            mark = "fails" if good else "WRONG"
            seconds = time.perf_counter() - started
            print(f"{mark}  {kind.__name__}.{name:24} {seconds:4.1f} s  {text}", flush=True)
    print(f"{len(rows) - bad} of {len(rows)} rows have a case that fails without them")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
