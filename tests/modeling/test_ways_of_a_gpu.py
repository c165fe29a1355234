"""The ways a network takes on a GPU: what the host waits for, and that results are the CPU's.

A change that makes the host wait once more fails here; the message shows the line.
"""

from __future__ import annotations

import pytest
import torch
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.engine.inference import detect
from paddlex_maskrcnn.modeling.fast_path import plain_path
from support.gpu_steps import ALL, batch, small_network, train_once
from support.host_waits import PRETENDED, watch_waits

CPU = torch.device("cpu")
NMS, READ = "torchvision.nms.default", "aten._to_copy.default"
STEP = [NMS, READ, READ]  # proposals, their numbers, the samples
PREDICTION = [NMS, READ, "aten.nonzero.default", NMS, READ, READ]


def waits_of(run, network, **inputs):
    """What a run on a batch waits for."""
    with watch_waits() as waits:
        images = batch(PRETENDED, **inputs)
        waits.places.clear()
        run(network.module, images)
    return waits


def far_network(**settings):
    if not settings.get("with_fpn", True):
        settings["anchor_sizes"] = [16, 32, 64]
    with watch_waits():
        return small_network(PRETENDED, **settings)


def step(module, images):
    with EventStorage():
        sum(module.train()(images).values()).backward()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bbox_assigner": "LibraBBoxAssigner", "rcnn_bbox_loss": "CIoULoss"},
        {"rpn_cls_loss": "SigmoidFocalLoss"},
        {"with_fpn": False},
    ],
    ids=str,
)
def test_a_training_step_waits_three_times(settings):
    """However many images and levels there are; once more, early, for crowd regions."""
    network = far_network(**settings)
    waits = waits_of(step, network, num=3)
    assert [name for name, _ in waits.places] == STEP, str(waits)
    waits = waits_of(step, network, masks="bits", crowd=True)
    assert [name for name, _ in waits.places] == [READ, *STEP], str(waits)


@pytest.mark.parametrize("settings", [{}, {"with_fpn": False}], ids=str)
def test_a_prediction_waits_six_times_a_batch(settings):
    waits = waits_of(predict, far_network(**settings), num=3)
    assert [name for name, _ in waits.places] == PREDICTION, str(waits)


def predict(module, images):
    assert sum(map(len, detect(module.eval(), images))) > 0


def test_the_plain_path_waits_as_detectron2_does():
    def plain(module, images):
        with plain_path():
            step(module, images)

    assert len(waits_of(plain, far_network())) > 60


@pytest.mark.parametrize(
    ("settings", "masks"),
    [
        ({}, "polygons"),
        ({}, "bits"),
        ({"rpn_cls_loss": "SigmoidFocalLoss", "rcnn_bbox_loss": "CIoULoss"}, "polygons"),
        ({"with_fpn": False, "anchor_sizes": [16, 32, 64], "train_post_nms_top_n": 5}, "bits"),
    ],
    ids=str,
)
def test_training_equals_the_cpu(settings, masks, device):
    """Losses and gradients, with crowd regions and an image without objects."""
    settings = {**ALL, **settings}
    expected, found = (
        train_once(small_network(place, **settings).module, batch(place, 3, masks, True))
        for place in (CPU, device)
    )
    assert found.keys() == expected.keys()
    for (
        name,
        value,
    ) in expected.items():  # convolutions of a GPU may round otherwise, and a ReLU open
        tolerance = 1e-5 if name.startswith("loss_") else 2e-2
        assert (found[name] - value).norm() <= tolerance * value.norm() + 1e-6, name


@pytest.mark.parametrize("settings", [{}, {"keep_top_k": 3}, {"score_threshold": 0.9999}], ids=str)
def test_prediction_equals_the_cpu(settings, device):
    expected, found = (
        detect(small_network(place, **settings).module.eval(), batch(place, 3))
        for place in (CPU, device)
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert [one.class_index for one in mine] == [one.class_index for one in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert one.box == pytest.approx(other.box, abs=1e-2)
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert (one.mask.dense(128, 240) != other.mask.dense(128, 240)).mean() < 1e-3
    assert any(found) == (settings.get("score_threshold") != 0.9999)
