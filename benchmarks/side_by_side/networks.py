"""The three networks with one set of weights, each built as its own users build it.

Ours comes out of `engine.setup` and `load_model`, so that it is accelerated as for any user.
Detectron2's is its own configuration file with the settings of ours where the defaults differ;
torchvision's is what `maskrcnn_resnet50_fpn` builds, whose own defaults are the same numbers.

The weights are random, from a fixed seed, since nothing may be downloaded. A network of random
features costs what a trained one costs as long as its numbers stay in range and as many objects go
through its stages; `write_weights` sees to both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import detectron2
import numpy as np
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import GeneralizedRCNN, build_model
from torch import nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.engine.setup import TrainingRun, set_up
from paddlex_maskrcnn.inference.model_directory import WEIGHTS, read_tensors, save_model_directory
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB, TORCHVISION_RGB, InputFormat
from paddlex_maskrcnn.weights.keys.backbones import NORM_EPSILON
from paddlex_maskrcnn.weights.keys.torchvision import convert_torchvision_maskrcnn
from paddlex_maskrcnn.weights.loading import WeightSource, load_all_weights
from paddlex_maskrcnn.weights.readers import as_tensors

from .pictures import photograph
from .settings import Settings, Variant

_ZOO = Path(detectron2.__file__).parent / "model_zoo" / "configs" / "COCO-InstanceSegmentation"
LEARNING_RATE = 1e-6  # random weights do not move far, so that every step costs the same
_SCORE_SPREAD, _DELTA_SPREAD = 2.0, 0.3  # standard deviations over the proposals
_THRESHOLD = 0.05  # of class scores


@dataclass(frozen=True)
class SharedWeights:
    """Where the same weights lie for each contestant.

    Attributes:
        ours, like_torchvision: model directories, with Detectron2's anchors and region pooling and
            with torchvision's.
        torchvision: a state dict in a file.
        num_classes: foreground classes.
    """

    ours: Path
    like_torchvision: Path
    torchvision: Path
    num_classes: int


def our_run(
    weights: Path, data: Any, settings: Settings, variant: Variant | None = None
) -> TrainingRun:
    """A training run of ours, ready for its first step.

    Args:
        weights: a model directory.
        data: the training data set, with transforms.
        variant: rows that differ from the defaults.
    """
    model = {
        "num_classes": len(data.labels) + 1,
        "device": settings.device,
        "rcnn_batch_size_per_im": settings.regions,
        "rpn_batch_size_per_im": settings.anchors,
    }
    train = {
        "num_epochs": 10**6,
        "train_dataset": data,
        "train_batch_size": settings.batch_size,
        "pretrain_weights": str(weights),
        "learning_rate": LEARNING_RATE,
        "warmup_steps": 0,
    }
    changes = variant or Variant("")
    params = TrainParams(**{**train, **changes.train})
    return set_up(ModelParams(**{**model, **changes.model}), params, data, None)


def our_model(weights: Path, settings: Settings) -> pdx.MaskRCNN:
    """A saved model of ours, ready to predict."""
    return pdx.load_model(weights, device=settings.device, warm=False)


def our_transforms(settings: Settings) -> transforms.Compose:
    """Resizing alone, for prediction."""
    resize = transforms.ResizeByShort(settings.size, settings.longest)
    return transforms.Compose([transforms.Normalize(), resize])


def stock_cfg(settings: Settings, num_classes: int) -> CfgNode:
    """Detectron2's recipe of Mask R-CNN R50-FPN with the numbers of ours where they differ."""
    cfg = get_cfg()
    cfg.merge_from_file(str(_ZOO / "mask_rcnn_R_50_FPN_1x.yaml"))
    form = IMAGENET_RGB
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", settings.device,
            "MODEL.WEIGHTS", "",
            "MODEL.ROI_HEADS.NUM_CLASSES", num_classes,
            "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", settings.regions,
            "MODEL.RPN.BATCH_SIZE_PER_IMAGE", settings.anchors,
            "MODEL.RPN.POST_NMS_TOPK_TRAIN", 2000,
            "MODEL.RPN.POST_NMS_TOPK_TEST", settings.proposals,
            "MODEL.RPN.SMOOTH_L1_BETA", 1 / 9,
            "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 1.0,
            "MODEL.PIXEL_MEAN", list(form.pixel_mean),
            "MODEL.PIXEL_STD", list(form.pixel_std),
            "MODEL.RESNETS.STRIDE_IN_1X1", False,
            "INPUT.FORMAT", form.channel_order,
            "INPUT.MIN_SIZE_TEST", settings.size,
            "INPUT.MAX_SIZE_TEST", settings.longest,
            "SOLVER.BASE_LR", LEARNING_RATE,
        ]
    )  # fmt: skip
    return cfg


def stock_network(weights: SharedWeights, settings: Settings) -> GeneralizedRCNN:
    """Stock Detectron2 with the weights of ours."""
    network = build_model(stock_cfg(settings, weights.num_classes))
    network.load_state_dict(read_tensors(weights.ours / WEIGHTS))
    return network


def torchvision_s(weights: SharedWeights, settings: Settings, *, training: bool) -> nn.Module:
    """torchvision's with the same weights; in training it is given images of the final size."""
    network = torchvision_network(
        weights.num_classes,
        min_size=settings.size,
        max_size=settings.longest,
        _skip_resize=training,
        box_batch_size_per_image=settings.regions,
        rpn_batch_size_per_image=settings.anchors,
        rpn_post_nms_top_n_test=settings.proposals,
    )
    network.load_state_dict(torch.load(weights.torchvision, weights_only=True))
    return network.to(settings.device).train(training)


def write_weights(
    folder: Path, num_classes: int = 80, settings: Settings | None = None
) -> SharedWeights:
    """Draw the weights and write them down for all contestants."""
    settings = settings or Settings()
    size = (96, 128) if settings.quick else (320, 480)
    torch.manual_seed(0)
    network = torchvision_network(
        num_classes, min_size=size[0], max_size=size[1], rpn_post_nms_top_n_test=settings.proposals
    )
    # class scores above the threshold, of two images
    _spread(network, size, candidates=10 if settings.quick else 100)
    torch.save(network.state_dict(), folder / "torchvision.pth")
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    state = as_tensors(convert_torchvision_maskrcnn(arrays))
    params = ModelParams(num_classes=num_classes + 1, test_post_nms_top_n=settings.proposals)
    for name, form in (("ours", IMAGENET_RGB), ("like_torchvision", TORCHVISION_RGB)):
        _write_directory(folder / name, state, form, params)
    return SharedWeights(
        folder / "ours", folder / "like_torchvision", folder / "torchvision.pth", num_classes
    )


def torchvision_network(num_classes: int, **settings: object) -> TorchvisionMaskRCNN:
    """What `maskrcnn_resnet50_fpn` builds for pretrained weights, with fresh ones.

    That function itself takes live norms when it is given no weights.
    """
    # convert_torchvision_maskrcnn() expects norms without an epsilon, as those of the published weights
    norm = partial(FrozenBatchNorm2d, eps=0.0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=norm, trainable_layers=3
    )
    return TorchvisionMaskRCNN(backbone, num_classes + 1, **settings)


@torch.no_grad()
def _spread(network: TorchvisionMaskRCNN, size: tuple[int, int], candidates: int) -> None:
    """Bring features and scores into the range of a trained network, on drawn photographs.

    Each norm takes the statistics of what reaches it; scores and box deltas are centred and scaled
    over the proposals, and background is as likely as leaves some tens of objects.
    """
    hooks = [
        module.register_forward_pre_hook(_take_statistics)
        for module in network.modules()
        if isinstance(module, FrozenBatchNorm2d)
    ]
    seen: list[torch.Tensor] = []
    hooks.append(network.roi_heads.box_head.register_forward_hook(lambda *of: seen.append(of[2])))
    network.eval()(_photographs(size))
    for hook in hooks:
        hook.remove()
    predictor = network.roi_heads.box_predictor
    _centre(predictor.bbox_pred, seen[0], _DELTA_SPREAD)
    scores = _centre(predictor.cls_score, seen[0], _SCORE_SPREAD)
    predictor.cls_score.bias[0] += _background(scores, candidates)


def _photographs(size: tuple[int, int]) -> list[torch.Tensor]:
    random = np.random.default_rng(1)
    images = [photograph(size, random) for _ in range(2)]
    return [torch.from_numpy(image).permute(2, 0, 1) / 255 for image in images]


def _take_statistics(norm: FrozenBatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
    norm.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    norm.running_var.copy_(inputs[0].var(dim=(0, 2, 3)) + NORM_EPSILON)


def _centre(layer: nn.Linear, inputs: torch.Tensor, spread: float) -> torch.Tensor:
    """Outputs of mean 0 and standard deviation `spread` over the rows of the inputs; returns them."""
    outputs = inputs @ layer.weight.T
    scale = spread / outputs.std(dim=0)
    layer.weight.mul_(scale[:, None])
    layer.bias.copy_(-outputs.mean(dim=0) * scale)
    return layer(inputs)


def _background(scores: torch.Tensor, limit: int) -> float:
    """What makes background likely enough that few scores of objects are above the threshold."""
    low, high = 0.0, 30.0
    for _ in range(20):
        middle = (low + high) / 2
        moved = scores + middle * (torch.arange(scores.shape[1]) == 0)
        candidates = (moved.softmax(dim=1)[:, 1:] > _THRESHOLD).sum()
        low, high = (middle, high) if candidates > limit else (low, middle)
    return high


def _write_directory(
    directory: Path, state: dict[str, torch.Tensor], form: InputFormat, params: ModelParams
) -> None:
    ids = list(range(1, params.num_classes))
    card = ModelCard(params, [f"class {k}" for k in ids], ids, form, pretrained=True)
    network = build_network(card, "cpu")
    load_all_weights(network.module, WeightSource(str(directory), state, form))
    save_model_directory(directory, network)
