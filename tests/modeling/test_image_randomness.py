"""Random choices that belong to an image."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

import paddlex_maskrcnn.modeling  # noqa: F401


@pytest.fixture(params=["random_sampler", "libra_sampler"])
def model(request, make_cfg):
    cfg = make_cfg()
    cfg.MODEL.META_ARCHITECTURE = "PaddedRCNN"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "CrowdRPN"
    cfg.MODEL.ROI_HEADS.NAME = "SeamROIHeads"
    cfg.MODEL.ROI_HEADS.SAMPLER = request.param
    cfg.MODEL.RESNETS.NORM = "FrozenBN"
    torch.manual_seed(0)
    return build_model(cfg).train()


def inputs(make_targets, seeds):
    torch.manual_seed(1)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in seeds]
    targets = [make_targets(3, 64) for _ in seeds]
    return [
        {"image": image, "instances": objects, "sample_seed": seed}
        for image, objects, seed in zip(images, targets, seeds, strict=True)
    ]


def sampled(model, batch):
    """The proposals each image trains on."""
    kept = []
    choose = model.roi_heads.label_and_sample_proposals
    model.roi_heads.label_and_sample_proposals = lambda *given: kept.extend(choose(*given)) or kept
    with EventStorage():
        losses = model(batch)
    del model.roi_heads.label_and_sample_proposals
    return [one.proposal_boxes.tensor for one in kept], losses


def test_an_image_draws_the_same_in_any_company(model, make_targets):
    """Alone, after another one, or after other random numbers; its neighbours do not matter."""
    batch = inputs(make_targets, [11, 12, 13])
    together, losses = sampled(model, batch)
    again, same_losses = sampled(model, batch)
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in same_losses.items()}
    torch.manual_seed(99)
    alone = [sampled(model, [one])[0][0] for one in reversed(batch)][::-1]
    for a, b, c in zip(together, again, alone, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, atol=1e-3, rtol=0)  # pixels: a batch rounds otherwise


def test_another_seed_draws_others(model, make_targets):
    first, _ = sampled(model, inputs(make_targets, [11]))
    second, _ = sampled(model, inputs(make_targets, [12]))
    assert not torch.equal(first[0], second[0])


def test_the_global_generator_is_left_alone(model, make_targets):
    batch = inputs(make_targets, [11, 12])
    before = torch.get_rng_state()
    with EventStorage():
        model(batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.proposal_generator.generators is None
    assert model.roi_heads.generators is None
