"""Every row of the schema has an effect; the cases are in tests/support/row_effects.

`disconnect_rows.py` beside this file shows that each case fails when its row is disconnected.
"""

import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from paddlex_maskrcnn.config import schema
from support.row_effects import CASES, Laboratory, Material

SECTIONS = (schema.ModelParams, schema.TrainParams, schema.EvaluateParams, schema.PredictParams)
ROWS = [(kind, this.name) for kind in SECTIONS for this in fields(kind)]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    return Laboratory(folder, Material(folder))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].__name__}.{row[1]}")
def test_row_has_an_effect(row, laboratory):
    assert row in CASES, "a new row needs a case in tests/support/row_effects"
    CASES[row](laboratory)


def test_every_case_is_of_a_row():
    assert set(CASES) == set(ROWS)


def test_a_disconnected_row_is_noticed(tmp_path):
    """The script works, for a row that needs no run."""
    script = runpy.run_path(str(Path(__file__).with_name("disconnect_rows.py")))
    laboratory = Laboratory(tmp_path, Material(tmp_path))
    fails, text = script["outcome"](schema.ModelParams, "nms_threshold", laboratory)
    assert fails, text
    assert "AssertionError" in text
    assert schema.ModelParams(nms_threshold=0.7).nms_threshold == 0.7  # connected again
