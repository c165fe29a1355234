"""The table of docs/paddlex_compat.md, held to what is there."""

import re
from pathlib import Path

import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.compat.command import FORMS
from paddlex_maskrcnn.compat.refused import REFUSED

PAGE = Path(__file__).parents[2] / "docs" / "paddlex_compat.md"
ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| *(.*?) *\|$", re.MULTILINE)
ROWS = {name: (status, note) for name, status, note in ROW.findall(PAGE.read_text("utf-8"))}

# of PaddleX 1.3's document and tutorials, what concerns MaskRCNN
DOCUMENTED = [
    "pdx.det.MaskRCNN",
    "model.train",
    "model.evaluate",
    "model.predict",
    "model.batch_predict",
    "model.save_model",
    "model.export_inference_model",
    "model.get_model_info",
    "pdx.load_model",
    "pdx.det.visualize",
    "pdx.det.draw_pr_curve",
    "pdx.det.coco_error_analysis",
    "pdx.det.paste_objects",
    "pdx.det.transforms",
    "pdx.datasets.CocoDetection",
    "pdx.datasets.VOCDetection",
    "pdx.datasets.EasyDataDet",
    "pdx.datasets.analysis",
    "pdx.transforms.visualize",
    "pdx.cv.datasets",
    "pdx.cv.models",
    "pdx.cv.transforms",
    "pdx.deploy.Predictor",
    "pdx.utils.download_and_decompress",
    "pdx.log_level",
    "pdx.env_info",
    "pdx.slim",
    "pdx.interpret",
    "pdx.cls",
    "pdx.seg",
    "model.num_classes",
    "model.backbone",
    "model.anchor_sizes",
    "model.model_type",
    "model.status",
    "model.completed_epochs",
    "model.eval_metrics",
    "model.fixed_input_shape",
]


def is_there(name):
    """Whether a dotted name of the table can be read."""
    root, *path = name.split(".")
    found = {"pdx": pdx, "model": pdx.det.MaskRCNN(num_classes=3)}[root]
    for part in path:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


@pytest.mark.parametrize("name", [name for name in ROWS if not name.startswith("paddlex ")])
def test_a_row_says_what_is(name):
    status, note = ROWS[name]
    assert status in ("works", "differs", "refused")
    assert is_there(name) == (status != "refused")
    if status == "refused":
        assert name.removeprefix("pdx.") in REFUSED
    assert note.strip() or status != "differs", "a difference is said"


def test_every_name_has_a_row():
    assert [name for name in DOCUMENTED if name not in ROWS] == []
    assert [name for name in REFUSED if f"pdx.{name}" not in ROWS] == []
    commands = {name.removeprefix("paddlex ") for name in ROWS if name.startswith("paddlex ")}
    assert commands == FORMS
