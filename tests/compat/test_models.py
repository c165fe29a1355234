"""What PaddleX's scripts read of a model beside its methods."""

import numpy as np
import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.inference.model_directory import save_model_directory
from support.tiny_training import SMALL
from support.untrained import LABELS, build_untrained, save_untrained


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("models") / "saved")


def test_attributes_of_a_new_model():
    model = pdx.det.MaskRCNN(num_classes=4, **SMALL)
    assert (model.num_classes, model.backbone, model.model_type) == (4, "ResNet18", "detector")
    assert model.anchor_sizes == SMALL["anchor_sizes"]
    assert (model.with_fpn, model.rcnn_nms, model.keep_top_k) == (True, "MultiClassNMS", 10)
    assert (model.status, model.completed_epochs) == ("Normal", 0)
    assert (model.eval_metrics, model.fixed_input_shape, model.labels) == (None, None, None)
    assert not hasattr(model, "no_such_thing")
    assert model.get_model_info()["_init_params"]["backbone"] == "ResNet18"
    assert "Transforms" not in model.get_model_info()


def test_attributes_of_a_saved_model(tmp_path):
    network = build_untrained()
    network.card.eval_metrics, network.card.completed_epochs = {"bbox_mmap": 0.25}, 7
    save_model_directory(tmp_path / "saved", network)
    model = pdx.load_model(tmp_path / "saved")
    assert (model.completed_epochs, model.num_classes) == (7, 4)
    assert model.eval_metrics == {"bbox_mmap": 0.25}
    info = model.get_model_info()
    assert info["_Attributes"]["eval_metrics"] == model.eval_metrics
    assert (info["completed_epochs"], info["status"]) == (7, "Normal")
    assert [next(iter(one)) for one in info["Transforms"]] == ["Normalize", "ResizeByShort"]
    assert info["TransformsMode"] == "BGR"


def test_a_fixed_input_shape(saved, tmp_path):
    model = pdx.load_model(saved, fixed_input_shape=[128, 96])
    assert model.fixed_input_shape == [128, 96]
    seen = []
    inference = model.network.module.inference
    model.network.module.inference = lambda inputs, **more: (
        seen.extend(inputs) or inference(inputs, **more)
    )
    model.predict(np.zeros((60, 90, 3), np.uint8))
    assert seen[0]["pad_to"] == (96, 128)
    assert max(seen[0]["image"].shape[1:]) <= 128
    model.save_model(tmp_path / "again")
    assert pdx.load_model(tmp_path / "again").fixed_input_shape == [128, 96]
    assert pdx.load_model(saved, [128, 96]).fixed_input_shape == [128, 96]  # by position
    assert pdx.load_model(saved, "cpu").fixed_input_shape is None


@pytest.mark.parametrize("shape", [[100, 96], [96], [96.0, 96], [0, 96]])
def test_a_shape_the_network_cannot_take(saved, shape):
    with pytest.raises(ValueError, match=r"fixed_input_shape is \[.*needed: \[width, height\]"):
        pdx.load_model(saved, fixed_input_shape=shape)


def test_a_shape_without_resizing(tmp_path):
    bare = save_untrained(tmp_path / "bare", transforms.Compose([transforms.Normalize()]))
    with pytest.raises(ValueError, match="transforms have ResizeByShort; this one has Normalize"):
        pdx.load_model(bare, fixed_input_shape=[96, 96])


def test_the_other_place_of_the_class(saved):
    from paddlex_maskrcnn.cv.models import MaskRCNN, load_model

    assert MaskRCNN is pdx.det.MaskRCNN is pdx.cv.models.MaskRCNN
    assert load_model is pdx.load_model is pdx.cv.models.load_model
    assert load_model(saved).labels == LABELS
