"""Values of deep pictures in the report: what stops training, what does not fit, what is there."""

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.config.operator_params import NormalizeParams
from paddlex_maskrcnn.data.check.inspection import inspect, open_part
from paddlex_maskrcnn.data.check.plan import AnchorSet, Plan
from support.tiff_files import write_tiff

DEEP = {"min_val": [0.0] * 3, "max_val": [4095.0] * 3}


def findings(tiny_coco, values, **normalize):
    """Kind -> finding, of the set's first picture stored with other values (of 0 to 1)."""
    image = tiny_coco.content["images"][0]
    drawn = cv2.imread(str(tiny_coco.data_dir / image["file_name"]))[:, :, ::-1]
    image["file_name"] = "deep.tif"
    write_tiff(tiny_coco.data_dir / "deep.tif", values(drawn / drawn.max()))
    tiny_coco.save()
    plan = Plan(
        "",
        lambda h, w: (h, w),
        AnchorSet((8, 16, 32, 64, 128), (1,)),
        100,
        NormalizeParams(**normalize),
    )
    part = open_part("data", tiny_coco.open)
    return {finding.kind: finding for finding in inspect([part], plan, 0).findings}


@pytest.mark.parametrize(
    ("values", "normalize", "fragment"),
    [
        (lambda v: v.astype(np.float32), {}, "float32 values from 0 to 1"),
        (lambda v: (v * 80000).astype(np.int32), {}, "int32 values from 0 to 80000"),
        (lambda v: np.where(v > 0.5, np.nan, v).astype(np.float32), {}, "NaN"),
        (lambda v: np.where(v > 0.5, np.nan, v).astype(np.float64), DEEP, "NaN"),
    ],
)
def test_what_training_stops_at_is_an_error(tiny_coco, values, normalize, fragment):
    finding = findings(tiny_coco, values, **normalize)["no-pixels"]
    assert finding.level == "error"
    assert "deep.tif" in finding.locations[0].text
    assert fragment in finding.locations[0].text


@pytest.mark.parametrize(
    ("values", "normalize", "level", "fragment"),
    [
        (lambda v: (v * 4000).astype(np.uint16), DEEP, "note", "uint16 pixels: values from 0 to 4000"),
        (lambda v: (v * 60000).astype(np.uint16), DEEP, "warning", "read as 0 (black) to 4095 (white)"),
        (lambda v: (v * 60).astype(np.int32), DEEP, "warning", "int32 pixels: values from 0 to 60"),
        (lambda v: (v * 4000).astype(np.uint16), {}, "warning", "read as 0 (black) to 65535 (white)"),
        (lambda v: (v * 60000).astype(np.uint16), {}, "note", "values from 0 to 60000"),
        (lambda v: (v * 250).astype(np.float32), {}, "note", "float32 pixels: values from 0 to 250"),
    ],
)  # fmt: skip
def test_values_stand_beside_the_range(tiny_coco, values, normalize, level, fragment):
    seen = findings(tiny_coco, values, **normalize)
    assert "no-pixels" not in seen
    assert seen["value-range"].level == level
    assert fragment in seen["value-range"].title


def test_8_bits_for_a_range_of_1(tiny_coco):
    seen = findings(tiny_coco, lambda v: v.astype(np.float32), max_val=[1.0] * 3)
    texts = [location.text for location in seen["no-pixels"].locations]
    assert len(texts) == len(tiny_coco.content["images"]) - 1
    assert all("8 bits" in text and "max_val is 1" in text for text in texts)
    assert seen["value-range"].level == "note"


def test_8_bits_alone_are_not_mentioned(tiny_coco):
    part = open_part("data", tiny_coco.open)
    plan = Plan("", lambda h, w: (h, w), AnchorSet((8, 16, 32, 64, 128), (1,)), 100)
    kinds = {finding.kind for finding in inspect([part], plan, 0).findings}
    assert not kinds & {"no-pixels", "value-range"}
