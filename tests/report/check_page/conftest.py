"""The flawed data in a folder whose name needs escaping, inspected once."""

import pytest

from paddlex_maskrcnn.data.check.inspection import inspect, open_part
from paddlex_maskrcnn.data.check.plan import AnchorSet, Plan
from paddlex_maskrcnn.data.datasets import CocoDetection
from support.flawed_coco import FlawedCoco

PLAN = Plan("as it is", lambda h, w: (h, w), AnchorSet((8, 16, 32, 64, 128), (0.5, 1, 2)), 5)


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    flawed = FlawedCoco(tmp_path_factory.mktemp("flawed <&> data"))
    return [
        open_part(name, lambda part=part: CocoDetection(flawed.data_dir, flawed.files[part]))
        for name, part in (("train", "train"), ("eval", "val"))
    ]


@pytest.fixture(scope="session")
def found(parts):
    return inspect(parts, PLAN, num_workers=0)
