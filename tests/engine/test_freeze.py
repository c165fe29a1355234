"""Parts that do not train."""

import pytest

from paddlex_maskrcnn.config.schema import PARTS, ModelParams
from paddlex_maskrcnn.engine.setup import freeze_parts
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB


def network(**settings):
    params = ModelParams(backbone="ResNet18", **settings)
    return build_network(ModelCard(params, ["a"], [1], IMAGENET_RGB, False), "cpu")


def test_every_parameter_belongs_to_one_part():
    """Freezing part after part reaches all of them, each once."""
    module = network().module
    left = {name for name, _ in module.named_parameters()}
    for part in PARTS[:-1]:
        before = {name for name, p in module.named_parameters() if p.requires_grad}
        freeze_parts(module, [part])
        still = {name for name, p in module.named_parameters() if p.requires_grad}
        assert still < before, part
        left = still
    assert left
    assert all(name.startswith("roi_heads.mask_head.") for name in left)
    with pytest.raises(ValueError, match="nothing would be left to train"):
        freeze_parts(module, ["mask_head"])


def test_the_neck_is_no_backbone():
    module = network().module
    freeze_parts(module, ["backbone"])
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(name.startswith("backbone.bottom_up.") for name in frozen)


def test_norms_of_frozen_parts_keep_their_statistics():
    one = network()
    one.frozen = freeze_parts(one.module, ["backbone"])
    one.set_training()
    assert not one.module.backbone.bottom_up.stem.conv1.norm.training
    assert one.module.roi_heads.training


def test_a_part_that_is_not_there():
    module = network(with_fpn=False, anchor_sizes=[32]).module
    with pytest.raises(ValueError, match="freeze names 'neck', which this network does not have"):
        freeze_parts(module, ["neck"])
