"""Every hyperparameter, one row each: the only place that holds defaults, texts, bounds and choices.

The rows of data sets and operators stand beside this file, in `dataset_rows` and `transform_rows`.
Constructor keywords, `train()` keywords and YAML keys are these same rows. The documentation page,
`--help`, the signatures of the adapter and all checks are generated from them.
The rows before the first `extra=True` of a class are those of PaddleX 1.3's document, in its order.
"""

from dataclasses import dataclass, field
from typing import Any

from .rows import REQUIRED, row

BACKBONES = (
    "ResNet18", "ResNet50", "ResNet50_vd", "ResNet101", "ResNet101_vd", "HRNet_W18", "ResNet50_vd_ssld",
)  # fmt: skip
FPN_ANCHOR_LEVELS = 5  # P2 to P6
PARTS = ("backbone", "neck", "rpn", "box_head", "mask_head")


@dataclass(kw_only=True)
class ModelParams:
    """The network: arguments of `MaskRCNN(...)`, section `model` of a YAML file."""

    num_classes: int | None = row(81, "Number of classes, background included; null takes it from the data (so does leaving it out of a YAML file).", at_least=2)  # fmt: skip
    backbone: str = row("ResNet50", "Network that turns the image into features.", values=BACKBONES)
    with_fpn: bool = row(True, "Feature pyramid on the backbone; without it the stride-16 map alone is used (C4).")  # fmt: skip
    aspect_ratios: list[float] = row([0.5, 1.0, 2.0], "Height / width of the anchors.", above=0)
    anchor_sizes: list[float] = row([32, 64, 128, 256, 512], "Side of the anchors, pixels of the resized image. With FPN entry i belongs to pyramid level P(2+i), so there are five; without, all are used at every place.", above=0)  # fmt: skip
    with_dcn: bool = row(
        False, "Deformable convolutions (v2) in stages 3 to 5 of a ResNet, 3 and 4 without FPN."
    )
    rpn_cls_loss: str = row("SigmoidCrossEntropy", "Loss of the RPN's object / background score. SigmoidFocalLoss helps when background is taken for objects.", to="MODEL.PROPOSAL_GENERATOR.NAME", values={"SigmoidCrossEntropy": "CrowdRPN", "SigmoidFocalLoss": "FocalRPN"})  # fmt: skip
    rpn_focal_loss_alpha: float | None = row(0.25, "Weight of positives in the focal loss, 1 - alpha that of negatives; null for no weights. Only with SigmoidFocalLoss.", at_least=0, at_most=1)  # fmt: skip
    rpn_focal_loss_gamma: float = row(2.0, "How strongly the focal loss turns down easy anchors. Only with SigmoidFocalLoss.", to="MODEL.RPN.FOCAL_GAMMA", at_least=0)  # fmt: skip
    rcnn_bbox_loss: str = row("SmoothL1Loss", "Box regression loss of the second stage.", to="MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", values={"SmoothL1Loss": "smooth_l1", "CIoULoss": "ciou"})  # fmt: skip
    rcnn_nms: str = row("MultiClassNMS", "How overlapping detections are removed.", to="MODEL.ROI_HEADS.NMS", values={"MultiClassNMS": "hard_nms", "MultiClassSoftNMS": "soft_nms", "MultiClassCiouNMS": "diou_nms", "MatrixNMS": "matrix_nms"})  # fmt: skip
    keep_top_k: int = row(100, "Detections kept per image, all classes together.", to="TEST.DETECTIONS_PER_IMAGE", at_least=1)  # fmt: skip
    nms_threshold: float = row(0.5, "IoU above which a detection is removed for a better one. Without effect on MultiClassSoftNMS and MatrixNMS.", to="MODEL.ROI_HEADS.NMS_THRESH_TEST", at_least=0, at_most=1)  # fmt: skip
    score_threshold: float = row(0.05, "Score below which detections are dropped before NMS.", to="MODEL.ROI_HEADS.SCORE_THRESH_TEST", at_least=0, below=1)  # fmt: skip
    softnms_sigma: float = row(0.5, "Soft-NMS multiplies a score by exp(-IoU^2 / sigma). Only with MultiClassSoftNMS.", to="MODEL.ROI_HEADS.SOFT_NMS_SIGMA", above=0)  # fmt: skip
    bbox_assigner: str = row("BBoxAssigner", "How training proposals are sampled.", to="MODEL.ROI_HEADS.SAMPLER", values={"BBoxAssigner": "random_sampler", "LibraBBoxAssigner": "libra_sampler"})  # fmt: skip
    fpn_num_channels: int = row(256, "Channels of the pyramid's levels.", to="MODEL.FPN.OUT_CHANNELS", at_least=1)  # fmt: skip
    input_channel: int = row(3, "Channels of the input image.", at_least=1)
    rpn_batch_size_per_im: int = row(256, "Anchors the RPN trains on, per image.", to="MODEL.RPN.BATCH_SIZE_PER_IMAGE", at_least=1)  # fmt: skip
    rpn_fg_fraction: float = row(0.5, "Largest share of positives among them.", to="MODEL.RPN.POSITIVE_FRACTION", above=0, at_most=1)  # fmt: skip
    test_pre_nms_top_n: int | None = row(None, "Proposals the RPN puts into its NMS when predicting, per level; null: 1000 with FPN, 6000 without.", at_least=1)  # fmt: skip
    test_post_nms_top_n: int = row(1000, "Proposals kept after that NMS, per image.", to="MODEL.RPN.POST_NMS_TOPK_TEST", at_least=1)  # fmt: skip
    rcnn_batch_size_per_im: int = row(512, "Proposals the second stage trains on, per image.", to="MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", at_least=1, extra=True)  # fmt: skip
    rcnn_fg_fraction: float = row(0.25, "Largest share of positives among them.", to="MODEL.ROI_HEADS.POSITIVE_FRACTION", above=0, at_most=1, extra=True)  # fmt: skip
    train_pre_nms_top_n: int | None = row(None, "As test_pre_nms_top_n, when training; null: 2000 with FPN, 12000 without.", at_least=1, extra=True)  # fmt: skip
    train_post_nms_top_n: int = row(2000, "As test_post_nms_top_n, when training.", to="MODEL.RPN.POST_NMS_TOPK_TRAIN", at_least=1, extra=True)  # fmt: skip
    norm: str = row("auto", "Normalisation of the backbone. auto: frozen statistics with pretrained weights, live batch statistics without.", values=("auto", "FrozenBN", "BN", "SyncBN", "GN"), extra=True)  # fmt: skip
    freeze_at: int | None = row(None, "Backbone stages that do not train: 0 none, 1 the stem, 2 also res2, ... null: 2 with pretrained weights (HRNet_W18: 0), 0 without.", at_least=0, at_most=5, extra=True)  # fmt: skip
    gradient_checkpointing: bool = row(False, "Compute the backbone twice instead of keeping its activations: less memory, slower.", to="MODEL.BACKBONE.GRADIENT_CHECKPOINTING", extra=True)  # fmt: skip
    rpn_focal_loss_on: str = row("sampled", "Which anchors the focal loss sees: those sampled, as PaddleX, or all. Only with SigmoidFocalLoss.", to="MODEL.RPN.FOCAL_ON", values=("sampled", "all"), extra=True)  # fmt: skip
    device: str = row("auto", "Where the network runs: auto takes a GPU when there is one.", values=("auto", "cpu", "cuda"), extra=True)  # fmt: skip


@dataclass(kw_only=True)
class TrainParams:
    """The run: arguments of `train(...)`, section `train` of a YAML file."""

    num_epochs: int = row(REQUIRED, "Passes over the training images.", at_least=1)
    train_dataset: Any = row(REQUIRED, "Training data; in YAML: section data.train.", python_only=True)  # fmt: skip
    train_batch_size: int = row(1, "Images per step, over all processes.", at_least=1)
    eval_dataset: Any = row(None, "Held-out data, evaluated at every save; in YAML: section data.eval.", python_only=True)  # fmt: skip
    save_interval_epochs: int = row(1, "Epochs between two evaluations and saved models.", at_least=1)  # fmt: skip
    log_interval_steps: int = row(20, "Steps between two log lines.", at_least=1)
    save_dir: str = row("output", "Folder of everything the run writes.")
    pretrain_weights: str | None = row("IMAGENET", "Starting weights: IMAGENET (the backbone), COCO (a whole Mask R-CNN; docs/weights.md), the path of a weight file, model directory or PaddleX folder, or null for random weights.")  # fmt: skip
    optimizer: Any = row(None, "null: SGD with momentum. Python: a function params -> torch optimizer; YAML: {name: AdamW, weight_decay: 0.05, ...}, a class of torch.optim with its arguments.")  # fmt: skip
    learning_rate: float = row(1.0 / 800, "Learning rate after warm-up.", above=0)
    warmup_steps: int = row(500, "Steps in which the rate rises linearly; they must end before the first decay.", at_least=0)  # fmt: skip
    warmup_start_lr: float = row(1.0 / 2400, "Learning rate of the first step.", at_least=0)
    lr_decay_epochs: list[int] = row([8, 11], "Epochs after which the rate is multiplied by lr_decay_gamma.", at_least=1, increasing=True)  # fmt: skip
    lr_decay_gamma: float = row(0.1, "Factor of each decay.", above=0, at_most=1)
    metric: str | None = row(None, "COCO: AP averaged over IoU 0.5 to 0.95; VOC: AP at IoU 0.5; null: by the kind of data set.", values=("COCO", "VOC"))  # fmt: skip
    use_vdl: bool = row(False, "Also write VisualDL logs (TensorBoard, CSV and JSON lines are always written).")  # fmt: skip
    early_stop: bool = row(False, "Stop when the metric no longer improves.")
    early_stop_patience: int = row(5, "Evaluations without a new best after which training stops.", at_least=1)  # fmt: skip
    resume_checkpoint: str | None = row(None, "Saved model directory to go on from; auto takes the newest complete one of save_dir.")  # fmt: skip
    seed: int = row(0, "Seed of weights, order and augmentation.", at_least=0, extra=True)
    momentum: float = row(0.9, "Momentum of the built-in SGD.", at_least=0, below=1, extra=True)
    weight_decay: float = row(1e-4, "L2 decay of the built-in SGD; biases and norms have none.", at_least=0, extra=True)  # fmt: skip
    clip_gradients: float | None = row(None, "Largest L2 norm of the whole gradient; null: no limit.", above=0, extra=True)  # fmt: skip
    accumulate: int = row(1, "Parts each batch is split into, computed one after the other: less memory, the same batch size and schedule.", at_least=1, extra=True)  # fmt: skip
    keep_last: int | None = row(None, "Saved epochs that are kept, the best model aside; null: all.", at_least=1, extra=True)  # fmt: skip
    best_metric: str = row("segm", "What decides on the best model and on stopping early: AP of masks or boxes, or the validation loss.", values=("segm", "bbox", "val_loss"), extra=True)  # fmt: skip
    validation_loss: bool = row(False, "Also compute the loss on the held-out data at every evaluation.", extra=True)  # fmt: skip
    amp: str = row("off", "Mixed precision: convolutions and matrix products in 16 bits, losses and boxes in 32. bf16 where the GPU has it, else fp16.", values=("off", "bf16", "fp16"), extra=True)  # fmt: skip
    compile: bool = row(False, "Compile the convolutional parts with torch.compile: on a GPU a faster step after minutes of compiling. What cannot be compiled goes on without. docs/speed_switches.md says when it pays.", extra=True)  # fmt: skip
    ema: float | None = row(None, "Decay of a moving average of the weights, which is evaluated and saved in their place; 0.9998 for long runs; null: none.", above=0, below=1, extra=True)  # fmt: skip
    freeze: list[str] = row([], "Parts that do not train, beside freeze_at's stages.", values=PARTS, extra=True)  # fmt: skip
    repeat_threshold: float | None = row(None, "Class-balanced sampling: images with a class that fewer than this share of all images has are drawn more often, sqrt(threshold / share) times (LVIS); 0.001 to 0.1; null: off.", above=0, at_most=1, extra=True)  # fmt: skip
    deterministic: bool = row(False, "Repeatable bit for bit on a GPU too, where torch can: slower. A CPU always is.", extra=True)  # fmt: skip
    save_interval_steps: int | None = row(None, "Also save every so many steps, into save_dir/latest, for epochs that take hours.", at_least=1, extra=True)  # fmt: skip
    allow_changes: bool = row(False, "Resume although settings or data differ from those of the checkpoint.", extra=True)  # fmt: skip
    loggers: list[str] = row([], "Also log to these services, when they are installed.", values=("mlflow", "wandb"), extra=True)  # fmt: skip


@dataclass(kw_only=True)
class EvaluateParams:
    """Arguments of `evaluate(...)`, section `evaluate` of a YAML file."""

    eval_dataset: Any = row(REQUIRED, "Data to evaluate on; in YAML: section data.eval.", python_only=True)  # fmt: skip
    batch_size: int = row(1, "Images evaluated together; no effect on the numbers.", at_least=1)
    epoch_id: int | None = row(None, "Epoch named in the log line.", python_only=True)
    metric: str | None = row(None, "COCO or VOC as in train; null: what train used, else COCO.", values=("COCO", "VOC"))  # fmt: skip
    return_details: bool = row(False, "Also return all detections and annotations.", python_only=True)  # fmt: skip


@dataclass(kw_only=True)
class PredictParams:
    """Section `predict` of a YAML file: the pictures that train_net.py writes."""

    num_pictures: int = row(8, "Held-out images drawn with predictions beside the truth, after training or evaluation.", at_least=0, extra=True)  # fmt: skip
    picture_threshold: float = row(0.5, "Score from which a prediction is drawn.", at_least=0, at_most=1, extra=True)  # fmt: skip
    report: bool = row(True, "Also write report.html, with curves, tables and the worst images, after training or evaluation.", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class DatasetChoice:
    """A data set: its class (a key of DATASETS) and that class's arguments."""

    type: str
    arguments: Any


@dataclass(kw_only=True)
class OperatorLists:
    """Section `data.transforms`: operators in the order they are written, as {name: arguments}."""

    train: list[dict] = field(default_factory=lambda: [{"ComposedRCNNTransforms": {"mode": "train"}}])  # fmt: skip
    eval: list[dict] = field(default_factory=lambda: [{"ComposedRCNNTransforms": {"mode": "eval"}}])


@dataclass(kw_only=True)
class DataParams:
    """Section `data` of a YAML file."""

    train: DatasetChoice | None = None
    eval: DatasetChoice | None = None
    transforms: OperatorLists = field(default_factory=OperatorLists)


@dataclass(kw_only=True)
class Experiment:
    """A whole experiment file, checked."""

    model: ModelParams
    data: DataParams
    train: TrainParams | None
    evaluate: EvaluateParams
    predict: PredictParams


SECTIONS = ("model", "data", "train", "evaluate", "predict")

# Rows of earlier versions, and why they are gone. An experiment file, a saved model or a checkpoint
# that still has one is read as if it were not there; a file's reader is told so once.
RETIRED: dict[type, dict[str, str]] = {
    EvaluateParams: {
        "backend": "average precision is always computed here, with pycocotools' numbers"
    },
}
