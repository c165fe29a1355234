"""One set of weights in the forms that all contestants read.

Random, drawn from a fixed seed, since nothing may be downloaded. A network of random features costs
what a trained one costs as long as its numbers stay in range and as many objects go through its
stages; both are seen to here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from data import photograph
from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.inference.model_directory import save_model_directory
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB, TORCHVISION_RGB, InputFormat
from paddlex_maskrcnn.weights.keys.backbones import NORM_EPSILON
from paddlex_maskrcnn.weights.keys.torchvision import convert_torchvision_maskrcnn
from paddlex_maskrcnn.weights.loading import WeightSource, load_all_weights
from paddlex_maskrcnn.weights.readers import as_tensors

_CALIBRATION = (320, 480)  # pixels
_SCORE_SPREAD, _DELTA_SPREAD = 2.0, 0.3  # standard deviations over the proposals
_THRESHOLD, _CANDIDATES = 0.05, 100  # class scores above the threshold, of two images


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


def write_weights(folder: Path, num_classes: int = 80) -> SharedWeights:
    """Draw the weights and write them down for all contestants."""
    torch.manual_seed(0)
    network = torchvision_network(num_classes, min_size=_CALIBRATION[0], max_size=_CALIBRATION[1])
    _spread(network)
    torch.save(network.state_dict(), folder / "torchvision.pth")
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    state = as_tensors(convert_torchvision_maskrcnn(arrays))
    for name, form in (("ours", IMAGENET_RGB), ("like_torchvision", TORCHVISION_RGB)):
        _write_directory(folder / name, state, form, num_classes)
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
def _spread(network: TorchvisionMaskRCNN) -> None:
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
    network.eval()(_photographs())
    for hook in hooks:
        hook.remove()
    predictor = network.roi_heads.box_predictor
    _centre(predictor.bbox_pred, seen[0], _DELTA_SPREAD)
    scores = _centre(predictor.cls_score, seen[0], _SCORE_SPREAD)
    predictor.cls_score.bias[0] += _background(scores)


def _photographs() -> list[torch.Tensor]:
    random = np.random.default_rng(1)
    images = [photograph(_CALIBRATION, random) for _ in range(2)]
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


def _background(scores: torch.Tensor) -> float:
    """What makes background likely enough that few scores of objects are above the threshold."""
    low, high = 0.0, 30.0
    for _ in range(20):
        middle = (low + high) / 2
        moved = scores + middle * (torch.arange(scores.shape[1]) == 0)
        candidates = (moved.softmax(dim=1)[:, 1:] > _THRESHOLD).sum()
        low, high = (middle, high) if candidates > _CANDIDATES else (low, middle)
    return high


def _write_directory(
    directory: Path, state: dict[str, torch.Tensor], form: InputFormat, num_classes: int
) -> None:
    labels = [f"class {k}" for k in range(1, num_classes + 1)]
    params = ModelParams(num_classes=num_classes + 1)
    card = ModelCard(params, labels, list(range(1, num_classes + 1)), form, pretrained=True)
    network = build_network(card, "cpu")
    load_all_weights(network.module, WeightSource(str(directory), state, form))
    save_model_directory(directory, network)
