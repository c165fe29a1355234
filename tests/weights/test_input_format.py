"""A Detectron2 file without an author: its input format comes from the configuration beside it."""

import pytest
import torch
from detectron2.config import get_cfg

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.config.yaml_io import dump
from paddlex_maskrcnn.inference.network import ModelCard
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB, PADDLEX_RGB, InputFormat
from paddlex_maskrcnn.weights.source import open_file
from support.yaml_bombs import BOMBS, bounded


@pytest.fixture
def checkpoint(tmp_path):
    """As Detectron2's training leaves it: no author, the solver's state beside the model."""
    path = tmp_path / "model_final.pth"
    state = {"backbone.bottom_up.stem.conv1.weight": torch.ones(2)}
    torch.save({"model": state, "iteration": 9, "optimizer": {}}, path)
    return path


def test_detectron2_s_own_config(checkpoint):
    """Written by Detectron2 itself, as `setup` of its training scripts does."""
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    checkpoint.with_name("config.yaml").write_text(cfg.dump())
    assert open_file(checkpoint).input_format == IMAGENET_RGB


def test_the_lines_of_the_message_are_enough(checkpoint):
    with pytest.raises(ValueError, match=r"Put the config\.yaml that Detectron2 wrote") as error:
        open_file(checkpoint)
    shown = str(error.value)
    lines = shown[shown.index("{INPUT") : shown.rindex("}}}") + 3]
    checkpoint.with_name("config.yaml").write_text(lines)
    form = open_file(checkpoint).input_format
    assert form == InputFormat("BGR", (103.53, 116.28, 123.675), (1, 1, 1), stride_in_1x1=True)


def test_a_config_of_another_program_does_not_count(checkpoint):
    checkpoint.with_name("config.yaml").write_text("train: {num_epochs: 3}\nMODEL: [1]\n")
    with pytest.raises(ValueError, match="does not say how its images must look"):
        open_file(checkpoint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot be read as YAML"),
        (
            "{INPUT: {FORMAT: YUV}, MODEL: {PIXEL_MEAN: [1], PIXEL_STD: [1], "
            "RESNETS: {STRIDE_IN_1X1: true}}}",
            "INPUT.FORMAT is 'YUV'",
        ),
        (
            "{INPUT: {FORMAT: RGB}, MODEL: {PIXEL_MEAN: [1, 2], PIXEL_STD: [1], "
            "RESNETS: {STRIDE_IN_1X1: true}}}",
            "PIXEL_MEAN has 2 values, PIXEL_STD 1",
        ),
    ],
)
def test_configs_that_cannot_be_right(checkpoint, text, message):
    checkpoint.with_name("config.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        open_file(checkpoint)


def test_model_pth_of_our_own_directory(checkpoint):
    """The file of a model directory, given instead of the directory."""
    card = ModelCard(ModelParams(), ["a"], [1], PADDLEX_RGB, pretrained=True)
    checkpoint.with_name("model.yml").write_text(dump(card.as_plain()))
    assert open_file(checkpoint).input_format == PADDLEX_RGB


@pytest.mark.parametrize("name", ["references", "merges", "long number"])
def test_configs_that_stand_for_too_much(checkpoint, name):
    (checkpoint.parent / "config.yaml").write_text(BOMBS[name])
    with bounded(), pytest.raises(ValueError, match="cannot be read as YAML") as caught:
        open_file(checkpoint)
    assert len(str(caught.value)) < 1_000
