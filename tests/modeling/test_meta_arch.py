"""The whole model with our choices against stock Detectron2, and the padding."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

import paddlex_maskrcnn.modeling  # noqa: F401  (registers its components)
from paddlex_maskrcnn.acceleration import accelerate
from support.fixed_proposals import fix_proposals

OURS = {"StandardROIHeads": "PaddleXROIHeads", "Res5ROIHeads": "PaddleXRes5ROIHeads"}


def use_our_parts(cfg):
    cfg.MODEL.META_ARCHITECTURE = "PaddedRCNN"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "CrowdRPN"
    cfg.MODEL.ROI_HEADS.NAME = OURS[cfg.MODEL.ROI_HEADS.NAME]
    return cfg


def build(cfg):
    torch.manual_seed(0)
    return build_model(cfg)


def batch(make_targets, **more):
    torch.manual_seed(1)
    sizes = ((64, 48), (40, 64))
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]
    return [{"image": image, "instances": make_targets(3, 64), **more} for image in images]


def train_once(model, inputs):
    """Losses, random state afterwards and gradients of one training pass."""
    model.train()
    torch.manual_seed(2)
    with EventStorage():
        losses = model(inputs)
    sum(losses.values()).backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return losses, torch.get_rng_state(), grads


def assert_equal_tensors(ours, stock):
    assert ours.keys() == stock.keys()
    for name, value in stock.items():
        assert torch.equal(ours[name], value), name


def assert_equal_detections(ours, stock):
    for mine, theirs in zip(ours, stock, strict=True):
        mine, theirs = mine["instances"].get_fields(), theirs["instances"].get_fields()
        assert mine.keys() == theirs.keys()
        assert len(theirs["scores"]) > 0
        assert torch.equal(mine["pred_boxes"].tensor, theirs["pred_boxes"].tensor)
        for name in ("scores", "pred_classes", "pred_masks"):
            assert torch.equal(mine[name], theirs[name]), name


CASES = [
    pytest.param(True, False, id="fpn"),
    pytest.param(False, False, id="c4"),
    pytest.param(True, True, id="fpn_class_agnostic"),
]


@pytest.mark.parametrize(("fpn", "agnostic"), CASES)
def test_default_choices_equal_detectron2(fpn, agnostic, make_cfg, make_targets):
    """Weights, losses, gradients, random numbers used and detections, bit for bit."""
    cfgs = [make_cfg(fpn, 18 if fpn else 50) for _ in range(2)]
    for cfg in cfgs:
        cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    stock, ours = build(cfgs[0]), build(use_our_parts(cfgs[1]))
    assert_equal_tensors(ours.state_dict(), stock.state_dict())
    inputs = batch(make_targets)
    expected = train_once(stock, inputs)
    got = train_once(ours, inputs)
    assert_equal_tensors(got[0], expected[0])
    assert torch.equal(got[1], expected[1])
    assert_equal_tensors(got[2], expected[2])
    with torch.no_grad():
        assert_equal_detections(ours.eval()(inputs), stock.eval()(inputs))


@pytest.mark.parametrize(("fpn", "agnostic"), CASES)
def test_accelerated_equals_plain(fpn, agnostic, make_cfg, make_targets):
    """Losses, gradients and random numbers used on the same proposals, up to rounding."""
    cfg = use_our_parts(make_cfg(fpn, 18 if fpn else 50))
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    inputs = batch(make_targets)
    plain, fast = build(cfg), accelerate(build(cfg))
    for network in (plain, fast):
        fix_proposals(network)
    expected = train_once(plain, inputs)
    got = train_once(fast, inputs)
    assert torch.equal(got[1], expected[1])
    assert got[0].keys() == expected[0].keys()
    assert got[2].keys() == expected[2].keys()
    for name, loss in expected[0].items():
        torch.testing.assert_close(got[0][name], loss, rtol=1e-5, atol=0)
    # an activation within rounding of 0 may open or close a ReLU: one of at least 4096 outputs of a
    # layer, so 1 / sqrt(4096) of a gradient, and what follows from it
    for name, grad in expected[2].items():
        assert (got[2][name] - grad).norm() <= 5e-2 * grad.norm() + 1e-6, name


@pytest.mark.parametrize("sampler", ["random_sampler", "libra_sampler"])
@pytest.mark.parametrize("generator", ["CrowdRPN", "FocalRPN"])
@pytest.mark.parametrize("loss", ["smooth_l1", "ciou"])
def test_all_choices_train(sampler, generator, loss, make_cfg, make_targets):
    """Every loss is finite and reaches parameters, with crowd regions in the batch."""
    cfg = use_our_parts(make_cfg())
    cfg.MODEL.ROI_HEADS.SAMPLER = sampler
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = generator
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = loss
    inputs = batch(make_targets)
    inputs[0]["instances"] = make_targets(3, 64, [False, True, False])
    losses, _, grads = train_once(build(cfg), inputs)
    assert len(losses) == 5
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(torch.isfinite(grad).all() for grad in grads.values())


def test_nms_choices_give_their_detections(make_cfg, make_targets):
    """Best first, no more than wanted; each choice decides differently on the same boxes.

    Their IoU is 0.51, the distance of their centres takes 0.04 off: DIoU keeps what hard NMS drops.
    """
    boxes = torch.tensor([[0.0, 0, 40, 40], [13, 0, 53, 40]])
    results = {}
    for nms in ("hard_nms", "soft_nms", "diou_nms", "matrix_nms"):
        cfg = use_our_parts(make_cfg())
        cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST = 0.5
        cfg.MODEL.ROI_HEADS.NMS = nms
        model = build(cfg).eval()
        with torch.no_grad():
            found = model(batch(make_targets))[0]["instances"]
        assert 0 < len(found) <= 20
        assert torch.equal(found.scores, found.scores.sort(descending=True).values)
        assert found.pred_masks.shape == (len(found), *found.image_size)
        predictor = model.roi_heads.box_predictor
        scores = torch.zeros(2, predictor.num_classes + 1)
        scores[:, 0], scores[:, -1] = torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.2])
        chosen, _ = predictor.detect(boxes.repeat(1, predictor.num_classes), scores, (64, 64))
        results[nms] = [round(score, 3) for score in chosen.scores.tolist()]
    assert results["hard_nms"] == [0.9]
    assert results["diou_nms"] == [0.9, 0.8]
    assert 0 < results["soft_nms"][1] < 0.8
    assert 0 < results["matrix_nms"][1] < 0.8
    assert results["soft_nms"] != results["matrix_nms"]


@pytest.mark.parametrize(
    ("pad_to", "expected"),
    [
        ([None, None], (64, 64)),
        ([(70, 64), None], (96, 64)),
        ([(64, 65), (97, 64)], (128, 96)),
        ([(64, 48), (40, 64)], (64, 64)),
    ],
)
def test_batch_is_padded_to_the_largest_wish(pad_to, expected, make_cfg, make_targets):
    """Height and width each to the largest wish, up to the next multiple of 32."""
    model = build(use_our_parts(make_cfg()))
    inputs = batch(make_targets)
    plain = model.preprocess_image(inputs)
    for item, wish in zip(inputs, pad_to, strict=True):
        item["pad_to"] = wish
    padded = model.preprocess_image(inputs)
    assert padded.tensor.shape[-2:] == expected
    assert padded.image_sizes == [(64, 48), (40, 64)]
    assert torch.equal(padded.tensor[..., :64, :64], plain.tensor)
    assert padded.tensor[..., 64:, :].abs().sum() + padded.tensor[..., 64:].abs().sum() == 0


def test_padding_without_divisibility(make_cfg, make_targets):
    """A C4 backbone divides any size: the wish is met exactly."""
    model = build(use_our_parts(make_cfg(False)))
    padded = model.preprocess_image(batch(make_targets, pad_to=(71, 67)))
    assert padded.tensor.shape[-2:] == (71, 67)


def test_pinned_images_are_copied_while_the_host_goes_on(make_cfg, monkeypatch):
    asked = {}
    image = torch.zeros(3, 8, 8)

    def to(tensor, device, non_blocking=False):
        asked.update(device=device, non_blocking=non_blocking)
        return tensor

    model = build(use_our_parts(make_cfg(True, 18)))
    monkeypatch.setattr(torch.Tensor, "to", to)
    assert model._move_to_current_device(image) is image
    assert asked == {"device": model.device, "non_blocking": True}


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_on_a_gpu_give_nearly_the_same_losses(dtype, make_cfg, make_targets):
    cfg = use_our_parts(make_cfg(True, 18))
    cfg.MODEL.DEVICE = "cuda"
    model = build(cfg).train()
    inputs = batch(make_targets, sample_seed=1)
    with EventStorage():
        expected = model(inputs)
        with torch.autocast("cuda", dtype):
            found = model(inputs)
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, rtol=0.1, atol=0.02, msg=name)
