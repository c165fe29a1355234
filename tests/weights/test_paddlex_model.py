"""The folder that PaddleX saved: settings, classes, operators, and what is refused."""

import numpy as np
import pytest
import yaml

from paddlex_maskrcnn.weights.input_format import PADDLEX_RGB, InputFormat
from paddlex_maskrcnn.weights.paddlex_model import read_paddlex_model
from paddlex_maskrcnn.weights.source import open_weights
from reference.paddle_format import write_pdparams
from support.yaml_bombs import BOMBS, bounded

NORMALIZE = {
    "max_val": [255.0, 255.0, 255.0],
    "mean": [0.485, 0.456, 0.406],
    "min_val": [0, 0, 0],
    "std": [0.229, 0.224, 0.225],
}


def card(**changes):
    """model.yml as PaddleX 1.3.11 wrote it, shortened."""
    whole = {
        "Model": "MaskRCNN",
        "Transforms": [
            {"Normalize": dict(NORMALIZE)},
            {"ResizeByShort": {"max_size": 352, "short_size": 256}},
            {"Padding": {"coarsest_stride": 32, "target_size": None}},
        ],
        "TransformsMode": "RGB",
        "_Attributes": {
            "eval_metrics": {"bbox_mmap": 0.25},
            "fixed_input_shape": None,
            "labels": ["background", "nut", "bolt"],
            "model_type": "detector",
            "num_classes": 3,
        },
        "_init_params": {
            "anchor_sizes": [32, 64, 128, 256, 512],
            "backbone": "ResNet50",
            "num_classes": 3,
            "with_fpn": True,
        },
        "completed_epochs": 3,
        "status": "Normal",
        "version": "1.3.11",
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


@pytest.fixture
def folder(tmp_path):
    """Writes a folder with this card; its parameters are two, which is all that is read of them here."""

    def write(**changes):
        arrays = {"conv1_weights": np.ones((2, 3, 7, 7), np.float32)}
        arrays["rpn_cls_logits_b"] = np.arange(15, dtype=np.float32)
        write_pdparams(tmp_path / "model.pdparams", arrays)
        (tmp_path / "model.yml").write_text(yaml.dump(card(**changes)))
        return tmp_path

    return write


def test_what_a_folder_says(folder):
    model = read_paddlex_model(folder())
    assert model.params["backbone"] == "ResNet50"
    assert model.params["num_classes"] == 3
    assert model.labels == ["nut", "bolt"]
    assert model.transforms == card()["Transforms"]
    assert model.eval_metrics == {"bbox_mmap": 0.25}
    assert model.completed_epochs == 3
    assert model.source.input_format.conventions == "paddlex"
    for ours, expected in zip(
        (model.source.input_format.pixel_mean, model.source.input_format.pixel_std),
        (PADDLEX_RGB.pixel_mean, PADDLEX_RGB.pixel_std),
        strict=True,
    ):
        assert ours == pytest.approx(expected)


def test_anchor_sizes_are_those_that_paddlex_really_used(folder):
    """With a pyramid the first alone, doubled from level to level; all of them without."""
    params = card()["_init_params"] | {"anchor_sizes": [16, 100, 200]}
    model = read_paddlex_model(folder(_init_params=params))
    assert model.params["anchor_sizes"] == [16, 32, 64, 128, 256]
    model = read_paddlex_model(folder(_init_params=params | {"with_fpn": False}))
    assert model.params["anchor_sizes"] == [16, 100, 200]


def test_anchors_without_a_pyramid_are_reordered_by_their_number_of_sizes(folder):
    params = card()["_init_params"] | {"anchor_sizes": [16, 32, 64], "with_fpn": False}
    model = read_paddlex_model(folder(_init_params=params))
    logits = model.source.state["proposal_generator.rpn_head.objectness_logits.bias"]
    assert logits.tolist() == [3 * ratio + size for size in range(3) for ratio in range(5)]


def test_files_of_earlier_versions(folder):
    """Fewer settings, `save_method` for `status`, no operators without eval_dataset."""
    changes = {
        "status": None,
        "save_method": "fluid.save",
        "Transforms": None,
        "TransformsMode": None,
    }
    params = {"backbone": "ResNet18", "num_classes": 3, "model_name": "x"}
    model = read_paddlex_model(folder(_init_params=params, **changes))
    assert model.transforms is None
    assert model.params == {
        "backbone": "ResNet18",
        "num_classes": 3,
        "anchor_sizes": [32, 64, 128, 256, 512],
    }
    assert model.source.input_format == PADDLEX_RGB


def test_a_model_of_bgr_images(folder):
    """PaddleX's statistics are then in BGR order; our Normalize is always written in RGB order."""
    own = {
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "min_val": [0, 0, 0],
        "max_val": [100, 10, 1],
    }
    model = read_paddlex_model(folder(TransformsMode="BGR", Transforms=[{"Normalize": own}]))
    form = model.source.input_format
    assert form.channel_order == "BGR"
    assert form.pixel_mean == pytest.approx((10, 2, 0.3))
    assert form.pixel_std == pytest.approx((40, 5, 0.6))
    [operator] = model.transforms
    assert operator["Normalize"] == {key: value[::-1] for key, value in own.items()}


def test_default_statistics_of_bgr_images(folder):
    form = read_paddlex_model(folder(TransformsMode="BGR", Transforms=None)).source.input_format
    assert form == InputFormat(
        "BGR", PADDLEX_RGB.pixel_mean[::-1], PADDLEX_RGB.pixel_std[::-1], False, "paddlex"
    )


def test_four_channels(folder):
    own = {"mean": [0.5] * 4, "std": [0.25] * 4, "min_val": [0] * 4, "max_val": [65535.0] * 4}
    form = read_paddlex_model(folder(Transforms=[{"Normalize": own}])).source.input_format
    assert form.pixel_mean == (32767.5,) * 4


def test_a_fixed_input_shape(folder):
    attributes = card()["_Attributes"] | {"fixed_input_shape": [640, 384]}
    operators = read_paddlex_model(folder(_Attributes=attributes)).transforms
    assert operators[1] == {"ResizeByShort": {"max_size": 640, "short_size": 384}}
    assert operators[2]["Padding"]["target_size"] == [640, 384]


def test_tuples_of_a_python_script(folder):
    path = folder() / "model.yml"
    path.write_text(path.read_text() + "\nextra: !!python/tuple [1, 2]\n")
    assert read_paddlex_model(path.parent).labels == ["nut", "bolt"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Model": "ResNet50"}, "is of a ResNet50; only MaskRCNN can be imported"),
        ({"Model": "FasterRCNN"}, "is of a FasterRCNN; only MaskRCNN"),
        ({"status": "Quant"}, "with status Quant .* give the folder that training saved"),
        ({"status": "Prune"}, "with status Prune"),
        ({"_init_params": None}, "was not written by PaddleX 1.x"),
        ({"_Attributes": {"labels": None}}, "has no class names"),
    ],
)
def test_other_models_are_refused(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        read_paddlex_model(folder(**changes))


def test_exported_models_are_refused(folder):
    path = folder(status="Infer")
    (path / "__params__").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"exported for inference \(__params__ is in it"):
        read_paddlex_model(path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.yml", "model.yml is missing: PaddleX wrote it"),
        ("model.pdparams", "has no PaddlePaddle"),
    ],
)
def test_files_that_are_missing(folder, missing, message):
    path = folder()
    (path / missing).unlink()
    with pytest.raises(ValueError, match=message):
        read_paddlex_model(path)


def test_as_pretrained_weights_it_keeps_its_own_input_format(folder):
    own = {"mean": [0.5] * 3, "std": [0.25] * 3}
    params = card()["_init_params"] | {"anchor_sizes": [16, 32, 64], "with_fpn": False}
    path = folder(Transforms=[{"Normalize": own}], _init_params=params)
    source, model = open_weights(str(path), "ResNet50"), read_paddlex_model(path)
    assert source.input_format == model.source.input_format
    assert source.input_format.pixel_mean == (127.5,) * 3
    assert source.labels == tuple(model.labels)
    logits = "proposal_generator.rpn_head.objectness_logits.bias"
    assert source.state[logits].equal(model.source.state[logits])


def test_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere"):
        read_paddlex_model(tmp_path / "nowhere")


def test_yaml_that_would_run_code(folder):
    path = folder() / "model.yml"
    path.write_text("Model: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ValueError, match="cannot be read"):
        read_paddlex_model(path.parent)


@pytest.mark.parametrize("name", ["references", "merges", "depth in brackets"])
def test_yaml_that_stands_for_too_much(folder, name):
    path = folder()
    (path / "model.yml").write_text("Model: MaskRCNN\n_init_params: {}\n" + BOMBS[name])
    with bounded(), pytest.raises(ValueError, match=r"model\.yml cannot be read") as caught:
        read_paddlex_model(path)
    assert len(str(caught.value)) < 1_000
