"""The parameters against the reference document and against the classes they describe."""

import inspect
from dataclasses import fields

import pytest

from paddlex_maskrcnn.config import dataset_params, operator_params, schema
from paddlex_maskrcnn.config.check import check_value
from paddlex_maskrcnn.config.params import REQUIRED, default_of, param_of
from paddlex_maskrcnn.data.transforms import TRANSFORMS
from paddlex_maskrcnn.maskrcnn import MaskRCNN

# The signatures of the reference document, as Python text.
DOCUMENTED_INIT = """num_classes=81, backbone='ResNet50', with_fpn=True, aspect_ratios=[0.5, 1.0, 2.0],
anchor_sizes=[32, 64, 128, 256, 512], with_dcn=False, rpn_cls_loss='SigmoidCrossEntropy',
rpn_focal_loss_alpha=0.25, rpn_focal_loss_gamma=2, rcnn_bbox_loss='SmoothL1Loss',
rcnn_nms='MultiClassNMS', keep_top_k=100, nms_threshold=0.5, score_threshold=0.05,
softnms_sigma=0.5, bbox_assigner='BBoxAssigner', fpn_num_channels=256, input_channel=3,
rpn_batch_size_per_im=256, rpn_fg_fraction=0.5, test_pre_nms_top_n=None, test_post_nms_top_n=1000"""
DOCUMENTED_TRAIN = """num_epochs, train_dataset, train_batch_size=1, eval_dataset=None,
save_interval_epochs=1, log_interval_steps=20, save_dir='output', pretrain_weights='IMAGENET',
optimizer=None, learning_rate=1.0/800, warmup_steps=500, warmup_start_lr=1.0 / 2400,
lr_decay_epochs=[8, 11], lr_decay_gamma=0.1, metric=None, use_vdl=False, early_stop=False,
early_stop_patience=5, resume_checkpoint=None"""
DOCUMENTED_EVALUATE = "eval_dataset, batch_size=1, epoch_id=None, metric=None, return_details=False"
DOCUMENTED_PREDICT = "img_file, transforms=None"
DOCUMENTED_BATCH_PREDICT = "img_file_list, transforms=None"

SECTIONS = [schema.ModelParams, schema.TrainParams, schema.EvaluateParams, schema.PredictParams]
ALL_PARAMS = [
    (kind, this)
    for kind in [*SECTIONS, *dataset_params.DATASETS.values(), *operator_params.TRANSFORMS.values()]
    for this in fields(kind)
]


def documented(text: str) -> list[tuple[str, object]]:
    namespace: dict = {}
    exec(f"def function({text}): pass", namespace)
    parameters = inspect.signature(namespace["function"]).parameters.values()
    return [(one.name, one.default) for one in parameters]


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("__init__", DOCUMENTED_INIT),
        ("train", DOCUMENTED_TRAIN),
        ("evaluate", DOCUMENTED_EVALUATE),
        ("predict", DOCUMENTED_PREDICT),
        ("batch_predict", DOCUMENTED_BATCH_PREDICT),
    ],
)
def test_signatures_are_the_documented_ones(method, text):
    """Same names, order and defaults; what is ours comes after and by keyword only."""
    parameters = list(inspect.signature(getattr(MaskRCNN, method)).parameters.values())[1:]
    ours = [(one.name, one.default) for one in parameters if one.kind is not one.KEYWORD_ONLY]
    assert ours == documented(text)


@pytest.mark.parametrize(("kind", "this"), ALL_PARAMS, ids=lambda one: getattr(one, "name", None))
def test_defaults_keep_their_own_rules(kind, this):
    default = default_of(this)
    if default is not REQUIRED:
        assert check_value(this, default)[1] == ""


@pytest.mark.parametrize(("kind", "this"), ALL_PARAMS, ids=lambda one: getattr(one, "name", None))
def test_every_row_has_a_text(kind, this):
    doc = param_of(this).doc
    assert doc[-1] in ".);", f"{kind.__name__}.{this.name}: {doc!r} is no sentence"


# Signatures of PaddleX's own operators in its document; all others of ours take keywords only.
DOCUMENTED_OPERATORS = {
    "RandomHorizontalFlip": "prob=0.5",
    "Normalize": """mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], min_val=[0, 0, 0],
max_val=[255, 255, 255]""",
    "ResizeByShort": "short_size=800, max_size=1333",
    "Resize": "target_size=608, interp='LINEAR'",
    "Padding": "coarsest_stride=1, target_size=None",
    "RandomDistort": """brightness_range=0.5, brightness_prob=0.5, contrast_range=0.5,
contrast_prob=0.5, saturation_range=0.5, saturation_prob=0.5, hue_range=18, hue_prob=0.5""",
    "RandomExpand": "ratio=4., prob=0.5, fill_value=[123.675, 116.28, 103.53]",
    "RandomCrop": """aspect_ratio=[.5, 2.], thresholds=[.0, .1, .3, .5, .7, .9], scaling=[.3, 1.],
num_attempts=50, allow_no_crop=True, cover_all_box=False""",
    "CLAHE": "clip_limit=2., tile_grid_size=[8, 8]",
    "ComposedRCNNTransforms": """mode, min_max_size=[800, 1333], mean=[0.485, 0.456, 0.406],
std=[0.229, 0.224, 0.225], random_horizontal_flip=True""",
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_signatures_of_operators_are_the_documented_ones(name):
    parameters = inspect.signature(TRANSFORMS[name]).parameters.values()
    ours = [(one.name, one.default) for one in parameters if one.kind is not one.KEYWORD_ONLY]
    assert ours == documented(DOCUMENTED_OPERATORS.get(name, ""))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_defaults_of_operators_are_written_as_they_are_saved(name):
    """A default goes into model.yml unchecked, where 0 and 0.0 differ."""
    for this in fields(operator_params.TRANSFORMS[name]):
        default = default_of(this)
        assert default is REQUIRED or repr(check_value(this, default)[0]) == repr(default)


def test_every_transform_has_rows():
    assert set(TRANSFORMS) == set(operator_params.TRANSFORMS)
