"""One value against its parameter."""

import numpy as np
import pytest

from paddlex_maskrcnn.config.check import ConfigError, check_arguments
from paddlex_maskrcnn.config.operator_params import NormalizeParams, ResizeByShortParams
from paddlex_maskrcnn.config.schema import ModelParams, TrainParams


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (ModelParams, {"keep_top_k": np.int64(7)}, 7),
        (ModelParams, {"keep_top_k": 1e2}, 100),
        (ModelParams, {"score_threshold": 0}, 0.0),
        (ModelParams, {"anchor_sizes": (1, 2, 3, 4, 5)}, [1.0, 2.0, 3.0, 4.0, 5.0]),
        (ModelParams, {"num_classes": None}, None),
        (ResizeByShortParams, {"short_size": [640, 800]}, [640, 800]),
        (NormalizeParams, {"mean": (0.5, 0, 1)}, [0.5, 0.0, 1.0]),
    ],
)
def test_values_become_the_row_s_type(kind, given, value):
    ((name, _),) = given.items()
    found = getattr(check_arguments(kind, given), name)
    assert found == value
    assert type(found) is type(value)


def test_python_arguments_are_named_as_written():
    with pytest.raises(ConfigError) as caught:
        check_arguments(ModelParams, {"backbon": "ResNet18", "keep_top_k": "x"})
    text = str(caught.value)
    assert "backbon is not a known key; did you mean 'backbone'?" in text
    assert "keep_top_k is 'x'; allowed: a whole number, >= 1" in text
    assert "model." not in text


def test_a_list_of_choices():
    needed = {"num_epochs": 1, "train_dataset": None}
    right = check_arguments(TrainParams, {**needed, "freeze": ["rpn", "neck"]})
    assert right.freeze == ["rpn", "neck"]
    with pytest.raises(ConfigError, match=r"freeze is .*'nek'.*; choose one of backbone, .*'neck'"):
        check_arguments(TrainParams, {**needed, "freeze": ["rpn", "nek"]})
