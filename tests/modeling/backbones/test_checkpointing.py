import copy

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY

from paddlex_maskrcnn.modeling.backbones.checkpointing import checkpointed


def build(cfg, name):
    torch.manual_seed(0)
    return BACKBONE_REGISTRY.get(name)(cfg, ShapeSpec(channels=3)).train()


def train_step(network, x):
    """Gradients by name, and how many numbers the forward pass kept for the backward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(x)
        loss = sum(level.square().mean() for level in outputs.values())
    loss.backward()
    gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, sum(kept.values())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("build_resnet_variant_backbone", {"RESNETS__NORM": "BN"}),
        (
            "build_resnet_variant_fpn_backbone",
            {
                "variant": "d",
                "RESNETS__DEFORM_ON_PER_STAGE": [False, True, True, True],
                "RESNETS__DEFORM_MODULATED": True,
                "BACKBONE__FREEZE_AT": 2,
            },
        ),
        ("build_hrnet_hrfpn_backbone", {}),
    ],
    ids=["ResNet, BN", "ResNet-D, DCN, FPN, FrozenBN", "HRNet"],
)
def test_same_step_with_less_memory(make_cfg, name, settings):
    """Loss, gradients and running statistics are equal; fewer activations are kept."""
    cfg = make_cfg(**settings)
    plain = build(cfg, name)
    cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING = True
    saving = build(cfg, name)
    x = torch.randn(2, 3, 64, 64)
    loss, gradients, kept = train_step(plain, x)
    saving_loss, saving_gradients, saving_kept = train_step(saving, x)
    assert torch.equal(loss, saving_loss)
    assert gradients.keys() == saving_gradients.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(saving_gradients[parameter], gradient, msg=parameter)
    for buffer, value in plain.named_buffers():
        assert torch.equal(saving.get_buffer(buffer), value), buffer
    assert saving_kept < 0.9 * kept


def test_hrnet_statistics_count_a_batch_once(make_cfg):
    """Modules with several inputs and live batch norm."""
    cfg = make_cfg(HRNET__NORM="BN", BACKBONE__GRADIENT_CHECKPOINTING=True)
    network = build(cfg, "build_hrnet_hrfpn_backbone")
    network(torch.randn(2, 3, 64, 64))["p6"].sum().backward()
    counters = [b for n, b in network.named_buffers() if n.endswith("num_batches_tracked")]
    assert counters
    assert all(counter == 1 for counter in counters)


@pytest.mark.parametrize("why", ["evaluation", "no gradients", "frozen"])
def test_nothing_is_recomputed_in_vain(why, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("recomputes")

    monkeypatch.setattr("paddlex_maskrcnn.modeling.backbones.checkpointing.checkpoint", refuse)
    block = torch.nn.Conv2d(1, 1, 1)
    x = torch.ones(1, 1, 2, 2)
    needed = copy.deepcopy(block)
    with pytest.raises(AssertionError, match="recomputes"):
        checkpointed(needed, x)
    block.train(why != "evaluation").requires_grad_(why != "frozen")
    with torch.set_grad_enabled(why != "no gradients"):
        assert torch.equal(checkpointed(block, x), block(x))
