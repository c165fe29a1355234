"""Every hyperparameter, one parameter each: the only place that holds defaults, texts, bounds and choices.

The parameters of data sets and operators stand beside this file, in `dataset_params` and `operator_params`.
Constructor keywords, `train()` keywords and YAML keys are these same parameters. The documentation page,
`--help`, the signatures of the adapter and all checks are generated from them.
The parameters before the first `extra=True` of a class are those of PaddleX 1.3's document, in its order.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from .dataset_params import DatasetChoice
from .operator_params import OperatorChoice, recipe
from .params import REQUIRED, param

BACKBONES = (
    "ResNet18", "ResNet50", "ResNet50_vd", "ResNet101", "ResNet101_vd", "HRNet_W18", "ResNet50_vd_ssld",
)  # fmt: skip
FPN_ANCHOR_LEVELS = 5  # P2 to P6
WEIGHT_NAMES = ("IMAGENET", "COCO")
PARTS = ("backbone", "neck", "rpn", "box_head", "mask_head")


@dataclass(kw_only=True)
class ModelParams:
    """The network: arguments of `MaskRCNN(...)`, section `model` of a YAML file."""

    num_classes: int | None = param(81, "Number of classes, background included; null takes it from the data (so does leaving it out of a YAML file).", at_least=2)  # fmt: skip
    backbone: str = param("ResNet50", "Network that turns the image into features.", values=BACKBONES)  # fmt: skip
    with_fpn: bool = param(True, "Feature pyramid on the backbone; without it the stride-16 map alone is used (C4).")  # fmt: skip
    aspect_ratios: list[float] = param([0.5, 1.0, 2.0], "Height / width of the anchors.", above=0)
    anchor_sizes: list[float] = param([32, 64, 128, 256, 512], "Side of the anchors, pixels of the resized image. With FPN entry i belongs to pyramid level P(2+i), so there are five; without, all are used at every place.", above=0)  # fmt: skip
    with_dcn: bool = param(
        False, "Deformable convolutions (v2) in stages 3 to 5 of a ResNet, 3 and 4 without FPN."
    )
    rpn_cls_loss: str = param("SigmoidCrossEntropy", "Loss of the RPN's object / background score. SigmoidFocalLoss helps when background is taken for objects.", to="MODEL.PROPOSAL_GENERATOR.NAME", values={"SigmoidCrossEntropy": "CrowdRPN", "SigmoidFocalLoss": "FocalRPN"})  # fmt: skip
    rpn_focal_loss_alpha: float | None = param(0.25, "Weight of positives in the focal loss, 1 - alpha that of negatives; null for no weights. Only with SigmoidFocalLoss.", at_least=0, at_most=1)  # fmt: skip
    rpn_focal_loss_gamma: float = param(2.0, "How strongly the focal loss turns down easy anchors. Only with SigmoidFocalLoss.", to="MODEL.RPN.FOCAL_GAMMA", at_least=0)  # fmt: skip
    rcnn_bbox_loss: str = param("SmoothL1Loss", "Box regression loss of the second stage.", to="MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", values={"SmoothL1Loss": "smooth_l1", "CIoULoss": "ciou"})  # fmt: skip
    rcnn_nms: str = param("MultiClassNMS", "How overlapping detections are removed.", to="MODEL.ROI_HEADS.NMS", values={"MultiClassNMS": "hard_nms", "MultiClassSoftNMS": "soft_nms", "MultiClassCiouNMS": "diou_nms", "MatrixNMS": "matrix_nms"})  # fmt: skip
    keep_top_k: int = param(100, "Detections kept per image, all classes together.", to="TEST.DETECTIONS_PER_IMAGE", at_least=1, auto=True)  # fmt: skip
    nms_threshold: float = param(0.5, "IoU above which a detection is removed for a better one. Without effect on MultiClassSoftNMS and MatrixNMS.", to="MODEL.ROI_HEADS.NMS_THRESH_TEST", at_least=0, at_most=1)  # fmt: skip
    score_threshold: float = param(0.05, "Score below which detections are dropped before NMS.", to="MODEL.ROI_HEADS.SCORE_THRESH_TEST", at_least=0, below=1)  # fmt: skip
    softnms_sigma: float = param(0.5, "Soft-NMS multiplies a score by exp(-IoU^2 / sigma). Only with MultiClassSoftNMS.", to="MODEL.ROI_HEADS.SOFT_NMS_SIGMA", above=0)  # fmt: skip
    bbox_assigner: str = param("BBoxAssigner", "How training proposals are sampled.", to="MODEL.ROI_HEADS.SAMPLER", values={"BBoxAssigner": "random_sampler", "LibraBBoxAssigner": "libra_sampler"})  # fmt: skip
    fpn_num_channels: int = param(256, "Channels of the pyramid's levels.", to="MODEL.FPN.OUT_CHANNELS", at_least=1)  # fmt: skip
    input_channel: int = param(3, "Channels of the input image.", at_least=1)
    rpn_batch_size_per_im: int = param(256, "Anchors the RPN trains on, per image.", to="MODEL.RPN.BATCH_SIZE_PER_IMAGE", at_least=1)  # fmt: skip
    rpn_fg_fraction: float = param(0.5, "Largest share of positives among them.", to="MODEL.RPN.POSITIVE_FRACTION", above=0, at_most=1)  # fmt: skip
    test_pre_nms_top_n: int | None = param(None, "Proposals the RPN puts into its NMS when predicting, per level; null: 1000 with FPN, 6000 without.", at_least=1)  # fmt: skip
    test_post_nms_top_n: int = param(1000, "Proposals kept after that NMS, per image.", to="MODEL.RPN.POST_NMS_TOPK_TEST", at_least=1)  # fmt: skip
    rcnn_batch_size_per_im: int = param(512, "Proposals the second stage trains on, per image.", to="MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", at_least=1, extra=True)  # fmt: skip
    rcnn_fg_fraction: float = param(0.25, "Largest share of positives among them.", to="MODEL.ROI_HEADS.POSITIVE_FRACTION", above=0, at_most=1, extra=True)  # fmt: skip
    train_pre_nms_top_n: int | None = param(None, "As test_pre_nms_top_n, when training; null: 2000 with FPN, 12000 without.", at_least=1, extra=True)  # fmt: skip
    train_post_nms_top_n: int = param(2000, "As test_post_nms_top_n, when training.", to="MODEL.RPN.POST_NMS_TOPK_TRAIN", at_least=1, extra=True)  # fmt: skip
    norm: str = param("auto", "Normalisation of the backbone. auto: frozen statistics with pretrained weights, live batch statistics without.", values=("auto", "FrozenBN", "BN", "SyncBN", "GN"), extra=True)  # fmt: skip
    freeze_at: int | None = param(None, "Backbone stages that do not train: 0 none, 1 the stem, 2 also res2, ... null: 2 with pretrained weights (HRNet_W18: 0), 0 without.", at_least=0, at_most=5, extra=True)  # fmt: skip
    gradient_checkpointing: bool = param(False, "Compute the backbone twice instead of keeping its activations: less memory, slower.", to="MODEL.BACKBONE.GRADIENT_CHECKPOINTING", extra=True)  # fmt: skip
    rpn_focal_loss_on: str = param("sampled", "Which anchors the focal loss sees: those sampled, as PaddleX, or all. Only with SigmoidFocalLoss.", to="MODEL.RPN.FOCAL_ON", values=("sampled", "all"), extra=True)  # fmt: skip
    device: str = param("auto", "Where the network runs: auto takes a GPU when there is one.", values=("auto", "cpu", "cuda"), extra=True)  # fmt: skip

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        """Every combination that cannot be built."""
        is_hrnet = self.backbone == "HRNet_W18"
        if self.with_fpn and len(self.anchor_sizes) != FPN_ANCHOR_LEVELS:
            yield (
                "anchor_sizes",
                (
                    f"is {self.anchor_sizes}; allowed: {FPN_ANCHOR_LEVELS} entries with FPN, one for each "
                    "pyramid level P2 to P6, such as [32, 64, 128, 256, 512]"
                ),
            )
        for name in ("anchor_sizes", "aspect_ratios"):
            if not getattr(self, name):
                yield name, "is []; allowed: at least one number"
        if is_hrnet and not self.with_fpn:
            yield "with_fpn", "is false; allowed: true, as HRNet_W18 always has its pyramid"
        if is_hrnet and self.with_dcn:
            yield (
                "with_dcn",
                "is true; allowed: false, as HRNet_W18 has no deformable convolutions (the ResNets have)",
            )

    def without_effect(self, given: Collection[str]) -> list[str]:
        """A sentence for each given setting that changes nothing in this combination.

        Args:
            given: names of the parameters the user wrote.
        """
        soft = self.rcnn_nms == "MultiClassSoftNMS"
        decaying = soft or self.rcnn_nms == "MatrixNMS"
        no_focal = (self.rpn_cls_loss != "SigmoidFocalLoss", "rpn_cls_loss is not SigmoidFocalLoss")
        idle = {
            "softnms_sigma": (not soft, "rcnn_nms is not MultiClassSoftNMS"),
            "nms_threshold": (
                decaying,
                f"{self.rcnn_nms} lowers scores instead of comparing with it",
            ),
            "fpn_num_channels": (not self.with_fpn, "with_fpn is false"),
            "rpn_focal_loss_alpha": no_focal,
            "rpn_focal_loss_gamma": no_focal,
            "rpn_focal_loss_on": no_focal,
        }
        return [
            f"{key} has no effect: {why}"
            for key, (off, why) in idle.items()
            if off and key in given
        ]


@dataclass(kw_only=True)
class TrainParams:
    """The run: arguments of `train(...)`, section `train` of a YAML file."""

    num_epochs: int = param(REQUIRED, "Passes over the training images.", at_least=1, auto=True)  # fmt: skip
    train_dataset: Any = param(REQUIRED, "Training data; in YAML: section data.train.", python_only=True)  # fmt: skip
    train_batch_size: int = param(1, "Images per step, over all processes.", at_least=1, auto=True)  # fmt: skip
    eval_dataset: Any = param(None, "Held-out data, evaluated at every save; in YAML: section data.eval.", python_only=True)  # fmt: skip
    save_interval_epochs: int = param(1, "Epochs between two evaluations and saved models.", at_least=1, auto=True)  # fmt: skip
    log_interval_steps: int = param(20, "Steps between two log lines.", at_least=1)
    save_dir: str = param("output", "Folder of everything the run writes; auto counts output/run_1, output/run_2, ...")  # fmt: skip
    pretrain_weights: str | None = param("IMAGENET", "Starting weights: IMAGENET (the backbone), COCO (a whole Mask R-CNN; docs/weights.md), the path of a weight file, model directory or PaddleX folder, or null for random weights.")  # fmt: skip
    optimizer: Any = param(None, "null: SGD with momentum. Python: a function params -> torch optimizer; YAML: {name: AdamW, weight_decay: 0.05, ...}, a class of torch.optim with its arguments.")  # fmt: skip
    learning_rate: float = param(1.0 / 800, "Learning rate after warm-up.", above=0, auto=True)  # fmt: skip
    warmup_steps: int = param(500, "Steps in which the rate rises linearly; they must end before the first decay.", at_least=0, auto=True)  # fmt: skip
    warmup_start_lr: float = param(1.0 / 2400, "Learning rate of the first step.", at_least=0)
    lr_decay_epochs: list[int] = param([8, 11], "Epochs after which the rate is multiplied by lr_decay_gamma.", at_least=1, increasing=True, auto=True)  # fmt: skip
    lr_decay_gamma: float = param(0.1, "Factor of each decay.", above=0, at_most=1)
    metric: str | None = param(None, "COCO: AP averaged over IoU 0.5 to 0.95; VOC: AP at IoU 0.5; null: by the kind of data set.", values=("COCO", "VOC"))  # fmt: skip
    use_vdl: bool = param(False, "Also write VisualDL logs (TensorBoard, CSV and JSON lines are always written).")  # fmt: skip
    early_stop: bool = param(False, "Stop when the metric no longer improves.")
    early_stop_patience: int = param(5, "Evaluations without a new best after which training stops.", at_least=1)  # fmt: skip
    resume_checkpoint: str | None = param(None, "Saved model directory to go on from; auto takes the newest complete one of save_dir.")  # fmt: skip
    seed: int = param(0, "Seed of weights, order and augmentation.", at_least=0, extra=True)
    momentum: float = param(0.9, "Momentum of the built-in SGD.", at_least=0, below=1, extra=True)
    weight_decay: float = param(1e-4, "L2 decay of the built-in SGD; biases and norms have none.", at_least=0, extra=True)  # fmt: skip
    clip_gradients: float | None = param(None, "Largest L2 norm of the whole gradient; null: no limit.", above=0, extra=True)  # fmt: skip
    accumulate: int = param(1, "Parts each batch is split into, computed one after the other: less memory, the same batch size and schedule.", at_least=1, extra=True)  # fmt: skip
    keep_last: int | None = param(None, "Saved epochs that are kept, the best model aside; null: all.", at_least=1, extra=True)  # fmt: skip
    best_metric: str = param("segm", "What decides on the best model and on stopping early: AP of masks or boxes, or the validation loss.", values=("segm", "bbox", "val_loss"), extra=True)  # fmt: skip
    validation_loss: bool = param(False, "Also compute the loss on the held-out data at every evaluation.", extra=True)  # fmt: skip
    amp: str = param("off", "Mixed precision: convolutions and matrix products in 16 bits, losses and boxes in 32. bf16 where the GPU has it, else fp16.", values=("off", "bf16", "fp16"), extra=True)  # fmt: skip
    compile: bool = param(False, "Compile the convolutional parts with torch.compile: on a GPU a faster step after minutes of compiling. What cannot be compiled goes on without. docs/speed_switches.md says when it pays.", extra=True)  # fmt: skip
    ema: float | None = param(None, "Decay of a moving average of the weights, which is evaluated and saved in their place; 0.9998 for long runs; null: none.", above=0, below=1, extra=True)  # fmt: skip
    freeze: list[str] = param([], "Parts that do not train, beside freeze_at's stages.", values=PARTS, extra=True)  # fmt: skip
    repeat_threshold: float | None = param(None, "Class-balanced sampling: images with a class that fewer than this share of all images has are drawn more often, sqrt(threshold / share) times (LVIS); 0.001 to 0.1; null: off.", above=0, at_most=1, extra=True)  # fmt: skip
    deterministic: bool = param(False, "Repeatable bit for bit on a GPU too, where torch can: slower. A CPU always is.", extra=True)  # fmt: skip
    save_interval_steps: int | None = param(None, "Also save every so many steps, into save_dir/latest, for epochs that take hours.", at_least=1, extra=True)  # fmt: skip
    max_minutes: float | None = param(None, "Time after which the run ends as if its epochs were over: the state is saved and evaluated; it counts anew when the run is resumed. null: no limit.", above=0, extra=True)  # fmt: skip
    allow_changes: bool = param(False, "Resume although settings or data differ from those of the checkpoint.", extra=True)  # fmt: skip
    if_exists: str = param("error", "What happens when save_dir holds the models of an earlier run: error; overwrite removes all that it wrote; number takes save_dir_2, save_dir_3, ...", values=("error", "overwrite", "number"), extra=True)  # fmt: skip
    loggers: list[str] = param([], "Also log to these services, when they are installed.", values=("mlflow", "wandb"), extra=True)  # fmt: skip

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        """Names of weights that are nearly right; as paths they would be looked for in vain."""
        name = str(self.pretrain_weights)
        if name.upper() in WEIGHT_NAMES and name not in WEIGHT_NAMES and not os.path.exists(name):
            yield "pretrain_weights", f"is {name!r}; did you mean {name.upper()!r}?"

    def without_effect(self, given: Collection[str]) -> list[str]:
        """A sentence for each given setting that changes nothing, or something else than it says.

        Args:
            given: names of the parameters the user wrote.
        """
        own_optimizer = (self.optimizer is not None, "optimizer is given, which has its own")
        no_warmup = (self.warmup_steps == 0, "warmup_steps is 0")
        idle = {
            "momentum": own_optimizer,
            "weight_decay": own_optimizer,
            "early_stop_patience": (not self.early_stop, "early_stop is false"),
            "warmup_start_lr": no_warmup,
            "lr_decay_gamma": (not self.lr_decay_epochs, "lr_decay_epochs is []"),
            "best_metric": (self.eval_dataset is None, "there is no held-out data"),
            "allow_changes": (self.resume_checkpoint is None, "nothing is resumed"),
        }
        sentences = [
            f"{key} has no effect: {why}"
            for key, (off, why) in idle.items()
            if off and key in given
        ]
        if self.warmup_steps and self.warmup_start_lr > self.learning_rate:
            sentences.append(
                f"warmup_start_lr, {self.warmup_start_lr:.3g}, is above learning_rate, "
                f"{self.learning_rate:.3g}: the rate falls in the warm-up; set it lower, for example to "
                f"{self.learning_rate / 3:.3g}"
            )
        return sentences


@dataclass(kw_only=True)
class EvaluateParams:
    """Arguments of `evaluate(...)`, section `evaluate` of a YAML file."""

    eval_dataset: Any = param(REQUIRED, "Data to evaluate on; in YAML: section data.eval.", python_only=True)  # fmt: skip
    batch_size: int = param(1, "Images evaluated together; no effect on the numbers.", at_least=1)
    epoch_id: int | None = param(None, "Epoch named in the log line.", python_only=True)
    metric: str | None = param(None, "COCO or VOC as in train; null: what train used, else COCO.", values=("COCO", "VOC"))  # fmt: skip
    return_details: bool = param(False, "Also return all detections and annotations.", python_only=True)  # fmt: skip


@dataclass(kw_only=True)
class PredictParams:
    """Section `predict` of a YAML file: the pictures that train_net.py writes."""

    num_pictures: int = param(8, "Held-out images drawn with predictions beside the truth, after training or evaluation.", at_least=0, extra=True)  # fmt: skip
    picture_threshold: float = param(0.5, "Score from which a prediction is drawn.", at_least=0, at_most=1, extra=True)  # fmt: skip
    report: bool = param(True, "Also write report.html, with curves, tables and the worst images, after training or evaluation.", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class OperatorLists:
    """Section `data.transforms`: operators in the order they are written."""

    train: list[OperatorChoice] = field(default_factory=lambda: [recipe("train")])
    eval: list[OperatorChoice] = field(default_factory=lambda: [recipe("eval")])


@dataclass(kw_only=True)
class DataParams:
    """Section `data` of a YAML file."""

    train: DatasetChoice | None = None
    eval: DatasetChoice | None = None
    transforms: OperatorLists = field(default_factory=OperatorLists)


@dataclass(kw_only=True)
class Experiment:
    """A whole experiment file, checked.

    Attributes:
        auto: full keys that say `auto` and are not resolved yet; what stands in their fields means nothing.
        reasons: full key -> why its value was chosen, of those that are resolved.
    """

    model: ModelParams
    data: DataParams
    train: TrainParams | None
    evaluate: EvaluateParams
    predict: PredictParams
    auto: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict, compare=False)


SECTIONS = ("model", "data", "train", "evaluate", "predict")

# Parameters of earlier versions, and why they are gone. An experiment file, a saved model or a checkpoint
# that still has one is read as if it were not there; a file's reader is told so once.
RETIRED: dict[type, dict[str, str]] = {
    EvaluateParams: {
        "backend": "average precision is always computed here, with pycocotools' numbers"
    },
}
