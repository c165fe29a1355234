"""The flawed data, drawn and looked at once."""

import pytest

from paddlex_maskrcnn.config.operator_params import OperatorChoice, ResizeByShortParams
from paddlex_maskrcnn.data.check.inspection import inspect, open_part
from paddlex_maskrcnn.data.check.plan import AnchorSet, Plan, resizing_of
from paddlex_maskrcnn.data.datasets import CocoDetection
from support.flawed_coco import FlawedCoco


@pytest.fixture(scope="session")
def plan():
    """Images twice as large, five detections kept."""
    resize = ResizeByShortParams(short_size=144, max_size=1000)
    words, new_size = resizing_of(
        [OperatorChoice(name="ResizeByShort", arguments=resize, given={})]
    )
    return Plan(words, new_size, AnchorSet((8, 16, 32, 64, 128), (0.5, 1, 2)), 5)


@pytest.fixture(scope="session")
def flawed(tmp_path_factory):
    """The flawed data."""
    return FlawedCoco(tmp_path_factory.mktemp("flawed"))


@pytest.fixture(scope="session")
def found(flawed, plan):
    """What inspecting both of its parts finds."""
    parts = [
        open_part(name, lambda part=part: CocoDetection(flawed.data_dir, flawed.files[part]))
        for name, part in (("train", "train"), ("eval", "val"))
    ]
    return inspect(parts, plan, num_workers=0)
