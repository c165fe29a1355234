"""Every network the schema allows: one optimizer step, evaluation, save, reload, same predictions."""

from dataclasses import fields
from itertools import product

import pytest
import torch

from paddlex_maskrcnn.config.params import param_of
from paddlex_maskrcnn.config.schema import BACKBONES, ModelParams, TrainParams
from paddlex_maskrcnn.data.transforms import Compose, Normalize, ResizeByShort
from paddlex_maskrcnn.engine.setup import set_up
from paddlex_maskrcnn.engine.trainer import Trainer
from paddlex_maskrcnn.inference.evaluate import evaluate_network
from paddlex_maskrcnn.inference.model_directory import load_model_directory, save_model_directory
from paddlex_maskrcnn.inference.predict import predict_images

SMALL = {
    "num_classes": None,
    "anchor_sizes": [8, 16, 32, 64, 128],
    "fpn_num_channels": 16,
    "rcnn_batch_size_per_im": 4,
    "train_post_nms_top_n": 20,
    "test_post_nms_top_n": 6,  # without FPN the last stage of the ResNet runs on each
    "keep_top_k": 3,
    "score_threshold": 0.0,
}
TRANSFORMS = Compose([Normalize(), ResizeByShort(64, 96)])

NETWORKS = [
    {"backbone": backbone, "with_fpn": fpn, "with_dcn": dcn}
    for backbone, fpn, dcn in product(BACKBONES, (True, False), (False, True))
    if not list(ModelParams(backbone=backbone, with_fpn=fpn, with_dcn=dcn).broken_rules())
]


def choices(name: str) -> list[str]:
    (this,) = (this for this in fields(ModelParams) if this.name == name)
    return list(param_of(this).values or ())


# every value of every closed choice that a network can have, one at a time
PARTS = [
    {"backbone": "ResNet18", name: value}
    for name in (
        "rpn_cls_loss", "rcnn_bbox_loss", "rcnn_nms", "bbox_assigner", "norm", "rpn_focal_loss_on",
    )
    for value in choices(name)
] + [{"backbone": "ResNet18", "gradient_checkpointing": True}]  # fmt: skip


def is_short(settings: dict) -> bool:
    """Every form of the smallest ResNet, and HRNet."""
    return settings["backbone"] in ("ResNet18", "HRNet_W18")


def label(settings: dict) -> str:
    return "-".join(str(value) for value in settings.values())


def test_the_sweep_is_complete():
    """Six ResNets with and without FPN and DCN, and HRNet."""
    assert len(NETWORKS) == 6 * 4 + 1


@pytest.mark.parametrize(
    "settings",
    [pytest.param(this, marks=[] if is_short(this) else pytest.mark.long) for this in NETWORKS]
    + [pytest.param(this, marks=pytest.mark.long) for this in PARTS],
    ids=label,
)
def test_step_evaluate_save_reload_predict(settings, tiny_shapes, tmp_path):
    train = tiny_shapes("train", num_images=2, transforms=TRANSFORMS)
    held_out = tiny_shapes("val", num_images=1, transforms=TRANSFORMS)
    params = TrainParams(
        num_epochs=1, train_dataset=train, eval_dataset=held_out, train_batch_size=2,
        pretrain_weights=None, warmup_steps=0, clip_gradients=1.0,
    )  # fmt: skip
    run = set_up(ModelParams(**SMALL | settings), params, train, held_out)
    before = {name: value.clone() for name, value in run.network.module.named_parameters()}
    Trainer(
        run.network, run.optimizer, run.schedule, run.batches(), run.progress, clip_gradients=1.0
    ).run()
    changed = {n for n, v in run.network.module.named_parameters() if not torch.equal(v, before[n])}
    assert any(name.startswith("backbone") for name in changed)
    assert any(name.startswith("roi_heads") for name in changed)

    evaluation = evaluate_network(run.network, held_out, TRANSFORMS)
    assert 0 <= evaluation.segm.ap <= 1

    run.network.module.eval()
    save_model_directory(tmp_path / "model", run.network)
    loaded = load_model_directory(tmp_path / "model", "cpu")
    image = held_out.records[0]["file_name"]
    ((first,), (second,)) = (predict_images(n, [image], TRANSFORMS) for n in (run.network, loaded))
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert (a["bbox"], a["score"], a["category_id"]) == (
            b["bbox"],
            b["score"],
            b["category_id"],
        )
        assert (a["mask"] == b["mask"]).all()
