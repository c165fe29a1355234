"""The adapter before it is trained: its arguments, and what it cannot do yet."""

import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms


def test_untrained_models_say_so():
    model = pdx.det.MaskRCNN()
    for action in (lambda: model.predict("x.png"), lambda: model.save_model("x")):
        with pytest.raises(ValueError, match="the model has no weights yet"):
            action()


def test_constructor_mistakes_are_told_together():
    with pytest.raises(ValueError, match="2 problems") as caught:
        pdx.det.MaskRCNN(backbone="ResNet52", kep_top_k=3)
    assert "backbone is 'ResNet52'; choose one of" in str(caught.value)
    assert "kep_top_k is not a known key; did you mean 'keep_top_k'?" in str(caught.value)


def test_idle_settings_are_named(caplog):
    pdx.det.MaskRCNN(softnms_sigma=0.4)
    assert "softnms_sigma has no effect: rcnn_nms is not MultiClassSoftNMS" in caplog.text


def test_dry_run_writes_nothing(tiny_shapes, tmp_path):
    recipe = transforms.Compose([transforms.ResizeByShort(64, 96)])
    train = tiny_shapes("train", transforms=recipe, shuffle=True)
    model = pdx.det.MaskRCNN(num_classes=None, backbone="ResNet18", rcnn_batch_size_per_im=8)
    report = model.dry_run(
        3, train, 2, save_dir=str(tmp_path / "never"), pretrain_weights=None, warmup_steps=3
    )
    assert (report.total_steps, report.steps_per_epoch) == (18, 6)
    assert report.parameters >= report.trainable > 1e6
    assert "steps            18 (6 an epoch)" in str(report)
    assert not (tmp_path / "never").exists()
