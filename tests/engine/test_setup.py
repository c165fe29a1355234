"""What is checked and built before the first step."""

import pytest

from paddlex_maskrcnn.config.schema import PARTS, ModelParams
from paddlex_maskrcnn.data.transforms import Compose, Normalize, ResizeByShort
from paddlex_maskrcnn.engine.setup import (
    check_num_classes,
    check_writable,
    choose_input_format,
    freeze_parts,
)
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import CAFFE_BGR, IMAGENET_RGB, InputFormat
from paddlex_maskrcnn.weights.loading import WeightSource

PLAIN = Compose([ResizeByShort(32)])
DEFAULT = Compose([Normalize()])
OWN = Compose([Normalize(mean=[0.1, 0.2, 0.3], std=[0.5, 0.5, 1.0])])
SCALED_BGR = InputFormat("BGR", (1, 2, 3), (4, 5, 6))
FOUR = Compose([Normalize(mean=[0.5] * 4, std=[0.25] * 4)])


def source(form: InputFormat) -> WeightSource:
    return WeightSource("weights.pkl", {}, form)


@pytest.mark.parametrize("transforms", [PLAIN, DEFAULT])
@pytest.mark.parametrize("form", [IMAGENET_RGB, CAFFE_BGR, SCALED_BGR])
def test_weights_decide_unless_statistics_are_given(transforms, form):
    assert choose_input_format(ModelParams(), transforms, transforms, source(form)) == form


def test_random_weights_see_rgb():
    assert choose_input_format(ModelParams(), PLAIN, PLAIN, None) == IMAGENET_RGB


def test_own_statistics_replace_those_of_scaled_weights():
    found = choose_input_format(ModelParams(), OWN, OWN, source(IMAGENET_RGB))
    assert found.channel_order == "RGB"
    assert found.pixel_mean == pytest.approx((25.5, 51, 76.5))
    assert found.pixel_std == pytest.approx((127.5, 127.5, 255))


def test_own_statistics_are_turned_round_for_bgr_weights():
    """Normalize is written in RGB order, whatever the weights want."""
    found = choose_input_format(ModelParams(), OWN, OWN, source(SCALED_BGR))
    assert found.channel_order == "BGR"
    assert found.pixel_mean == pytest.approx((76.5, 51, 25.5))


def test_other_numbers_of_channels():
    found = choose_input_format(ModelParams(input_channel=4), FOUR, FOUR, source(IMAGENET_RGB))
    assert found.pixel_mean == (127.5,) * 4


@pytest.mark.parametrize(
    ("channels", "train", "evaluate", "form", "message"),
    [
        (3, OWN, OWN, CAFFE_BGR, "need their own pixel statistics"),
        (3, OWN, DEFAULT, IMAGENET_RGB, "Normalize differs between training"),
        (4, DEFAULT, DEFAULT, IMAGENET_RGB, "give Normalize mean and std with 4 entries"),
        (3, FOUR, FOUR, IMAGENET_RGB, "Normalize has 4 entries, but input_channel is 3"),
    ],
)
def test_statistics_that_cannot_be_right(channels, train, evaluate, form, message):
    with pytest.raises(ValueError, match=message):
        choose_input_format(ModelParams(input_channel=channels), train, evaluate, source(form))


def test_num_classes_counts_the_background(tiny_coco):
    data = tiny_coco.open()
    check_num_classes(ModelParams(num_classes=3), data)
    check_num_classes(ModelParams(num_classes=None), data)
    for wrong in (2, 4):
        with pytest.raises(ValueError, match=r"has 2 classes \(nut, bolt\): set num_classes to 3"):
            check_num_classes(ModelParams(num_classes=wrong), data)


def test_a_file_in_the_way_of_save_dir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written to \(.+\)"):
        check_writable(tmp_path / "file" / "run")


def test_a_card_survives_its_file():
    card = ModelCard(
        ModelParams(backbone="HRNet_W18"), ["a", "b"], [3, 7], CAFFE_BGR, True, [{"Normalize": {}}],
        "VOC", {"bbox_map": 0.5}, 4,
    )  # fmt: skip
    assert ModelCard.from_plain(card.as_plain()) == card


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
