"""A whole model of PaddleX, from its own parameter list, becomes a model directory that predicts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn import cli
from paddlex_maskrcnn.inference.interop import as_network
from paddlex_maskrcnn.weights.keys.paddle import convert_paddle
from paddlex_maskrcnn.weights.paddlex_model import read_paddlex_model
from reference.paddle_format import write_folder, write_pdparams

LIST = Path(__file__).parents[1] / "weights" / "paddle_params" / "HRNet_W18_fpn.tsv"
CHANNELS = 16  # of the pyramid, where the list was made with 256
LABELS = [f"class {number}" for number in range(80)]
CARD = {
    "Model": "MaskRCNN",
    "_init_params": {
        "backbone": "HRNet_W18",
        "with_fpn": True,
        "num_classes": 81,
        "fpn_num_channels": CHANNELS,
        "score_threshold": 0.001,
        "test_pre_nms_top_n": 50,
        "test_post_nms_top_n": 10,
        "keep_top_k": 3,
    },
    "_Attributes": {
        "labels": ["background", *LABELS],
        "num_classes": 81,
        "eval_metrics": {"bbox_map": 0.5},
        "fixed_input_shape": None,
    },
    "TransformsMode": "RGB",
    "Transforms": [
        {"Normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}},
        {"ResizeByShort": {"short_size": 64, "max_size": 96}},
        {"Padding": {"coarsest_stride": 1, "target_size": None}},
    ],
    "completed_epochs": 12,
    "status": "Normal",
}


def shapes():
    """Of every parameter of PaddleX's network, its pyramid made narrow."""
    for line in LIST.read_text().splitlines():
        name, text = line.split("\t")
        shape = [int(size) for size in text.split("x")]
        if name == "fc6_w":
            shape[0] = CHANNELS * 49
        elif "fpn" in name or name == "mask_inter_feat_1_w":
            outputs, inputs = shape[0], shape[1:2]
            narrow = "mask" not in name and "logits" not in name and "bbox" not in name
            shape[0] = CHANNELS if narrow and outputs == 256 else outputs
            shape[1:2] = [CHANNELS if size == 256 else size for size in inputs]
        yield name, tuple(shape)


@pytest.fixture(scope="module")
def arrays():
    """Random, small enough that a signal survives the network."""
    random = np.random.default_rng(0)
    made = {}
    for name, shape in shapes():
        spread = (1 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.05
        made[name] = random.standard_normal(shape, np.float32) * np.float32(spread)
        if name.endswith(("_scale", "_variance")):
            made[name] = np.full(shape, 0.3 if name.endswith("_scale") else 1, np.float32)
    return made


@pytest.fixture(scope="module")
def folder(arrays, tmp_path_factory):
    """As PaddleX's training saves it."""
    folder = tmp_path_factory.mktemp("paddlex") / "best_model"
    folder.mkdir()
    write_pdparams(folder / "model.pdparams", arrays)
    (folder / "model.yml").write_text(yaml.dump(CARD))
    return folder


def test_import_and_predict(folder, arrays, tmp_path, capsys):
    target = tmp_path / "models" / "imported"
    assert cli.main(["import-paddlex", str(folder), "--to", str(target)]) == 0
    said = capsys.readouterr().out
    assert "HRNet_W18, 80 classes: class 0, class 1" in said
    assert "0 adapted, 0 skipped, 0 missing, 0 unused" in said

    model = pdx.load_model(target, device="cpu")
    card = model.network.card
    assert (card.labels, card.category_ids) == (LABELS, list(range(1, 81)))
    assert (card.metric, card.completed_epochs) == ("VOC", 12)
    assert model.params.keep_top_k == 3
    image = np.random.default_rng(1).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    objects = model.predict(image)
    assert len(objects) == 3
    assert all(one["mask"].shape == (64, 80) and one["score"] > 0 for one in objects)

    direct = {name: torch.from_numpy(array) for name, array in convert_paddle(arrays).items()}
    state = model.network.module.state_dict()
    assert state.keys() == direct.keys()
    assert all(torch.equal(state[name], value) for name, value in direct.items())

    # load_model takes PaddleX's folder itself, and says what writes one of ours
    opened = pdx.load_model(folder, fixed_input_shape=[96, 64])
    assert "import-paddlex" in capsys.readouterr().out
    assert opened.get_model_info()["completed_epochs"] == 12
    for one, other in zip(opened.predict(image), objects, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_what_load_model_says_of_a_folder_it_cannot_take(tmp_path):
    (tmp_path / "__model__").write_bytes(b"")
    (tmp_path / "model.yml").write_text("status: Infer\n")
    with pytest.raises(ValueError, match="exported"):
        pdx.load_model(tmp_path)


def test_one_file_a_variable_gives_the_same(folder, arrays, tmp_path):
    separate = write_folder(tmp_path / "separate", arrays)
    (separate / "model.yml").write_text(yaml.dump(CARD))
    whole, parts = read_paddlex_model(folder), read_paddlex_model(separate)
    assert whole.source.state.keys() == parts.source.state.keys()
    assert all(
        torch.equal(value, parts.source.state[name]) for name, value in whole.source.state.items()
    )


def test_nothing_is_written_over(folder, tmp_path, capsys):
    assert cli.main(["import-paddlex", str(folder), "--to", str(tmp_path)]) == 2
    assert "exists already; give --to a folder that does not" in capsys.readouterr().err


def test_a_parameter_too_few_is_refused(folder, arrays, tmp_path, capsys):
    incomplete = tmp_path / "incomplete"
    incomplete.mkdir()
    fewer = {name: array for name, array in arrays.items() if name != "conv5_mask_b"}
    write_pdparams(incomplete / "model.pdparams", fewer)
    (incomplete / "model.yml").write_text(yaml.dump(CARD))
    target = tmp_path / "imported"
    assert cli.main(["import-paddlex", str(incomplete), "--to", str(target)]) == 2
    assert "1 that are missing (roi_heads.mask_head.deconv)" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"backbone": "VGG16"}}, "backbone"),
        (
            {"transforms": [{"NoSuchOperator": {}}]},
            "Transforms of the PaddleX model cannot be used: .*NoSuchOperator",
        ),
    ],
)
def test_settings_that_are_not_known(folder, changes, message):
    model = read_paddlex_model(folder)
    with pytest.raises(ValueError, match=message):
        as_network(replace(model, **changes))
