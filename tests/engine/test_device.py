"""Mixed precision on the whole network."""

import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.engine.device import Precision
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB
from support.fixed_proposals import fix_proposals

# bfloat16 has 8 significant bits: rounding moves a value by 2^-9 of itself at most. Along the longest
# path 24 layers each round their input, their weights and their output; such errors, independent of
# each other, add up like the steps of a random walk. Twice that, for the unlucky.
ROUNDING = 2 * (3 * 24) ** 0.5 * 2**-9


def network(**settings):
    torch.manual_seed(0)
    small = {"fpn_num_channels": 32, "rcnn_batch_size_per_im": 32, "train_post_nms_top_n": 100}
    params = ModelParams(backbone="ResNet18", **{**small, **settings})
    card = ModelCard(params, ["a", "b"], [1, 2], IMAGENET_RGB, False)
    return build_network(card, "cpu").module


def batch():
    generator = torch.Generator().manual_seed(0)
    objects = Instances((64, 600))
    objects.gt_boxes = Boxes(torch.tensor([[500.5, 8, 560.3, 50], [20, 10, 60, 40]]))
    objects.gt_classes = torch.tensor([0, 1])
    objects.gt_masks = BitMasks(torch.rand(2, 64, 600, generator=generator) > 0.5)
    image = torch.randint(0, 256, (3, 64, 600), generator=generator, dtype=torch.uint8)
    return [{"image": image, "instances": objects, "sample_seed": 1, "height": 64, "width": 600}]


def seen_dtypes(module, precision, *parts):
    """Losses, and the types that enter the given parts."""
    seen = {}
    for name in parts:
        part = module.get_submodule(name)
        part.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.setdefault(name, inputs[0].dtype)
        )
    with EventStorage(), precision.autocast():
        losses = module.train()(batch())
    return losses, seen


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param(
            {"with_fpn": False, "anchor_sizes": [32, 64], "rcnn_batch_size_per_im": 8},
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"with_dcn": True, "rcnn_bbox_loss": "CIoULoss", "rpn_cls_loss": "SigmoidFocalLoss"},
            marks=pytest.mark.long,
        ),
        pytest.param({"gradient_checkpointing": True}, marks=pytest.mark.long),
    ],
    ids=["FPN", "C4", "DCN, CIoU, focal", "checkpointing"],
)
def test_losses_are_those_of_full_precision(settings):
    """In 32 bits, the same up to rounding on the same proposals, and with gradients everywhere."""
    full, module = network(**settings), network(**settings)
    fix_proposals(full)
    fix_proposals(module)
    expected, _ = seen_dtypes(full, Precision())
    losses, _ = seen_dtypes(module, Precision("bf16", "cpu"))
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=ROUNDING), name
    sum(losses.values()).backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)


def test_pooling_sees_32_bits_and_convolutions_16():
    """Boxes are rounded to the type of the features that are pooled; bfloat16 ends at 256."""
    module = network()
    pooled = []
    module.roi_heads.box_pooler.register_forward_pre_hook(
        lambda _, inputs: pooled.extend([one.dtype for one in inputs[0]])
    )
    inside = []
    for name in ("backbone.bottom_up.res3", "roi_heads.box_head", "proposal_generator.rpn_head"):
        conv = next(m for m in module.get_submodule(name).modules() if hasattr(m, "weight"))
        conv.register_forward_hook(lambda _m, _i, output: inside.append(output.dtype))
    seen_dtypes(module, Precision("bf16", "cpu"))
    assert set(pooled) == {torch.float32}
    assert set(inside) == {torch.bfloat16}


def test_off_changes_nothing():
    torch.manual_seed(0)
    plain, _ = seen_dtypes(network(), Precision())
    with EventStorage():
        again = network().train()(batch())
    assert {name: loss.item() for name, loss in plain.items()} == {
        name: loss.item() for name, loss in again.items()
    }
