"""Prediction: from an array to objects with masks, and the network alone.

Ours is `MaskRCNN.predict`, Detectron2 its `DefaultPredictor`, torchvision its module; each result is
brought to one object after the other with a mask of its own, as an application needs it, either as
pixels or as COCO's run lengths. Each resizes by its own means (OpenCV, Pillow, torch), so that
detections are compared on an image that has the network's size already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.engine import DefaultPredictor
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from pycocotools import mask as coco_mask

from paddlex_maskrcnn import MaskRCNN
from paddlex_maskrcnn.config.show import section_as_plain
from paddlex_maskrcnn.inference.detections import detect
from paddlex_maskrcnn.inference.model_directory import WEIGHTS
from paddlex_maskrcnn.inference.network import build_network

from .networks import SharedWeights, our_model, our_transforms, stock_cfg, torchvision_s
from .settings import LIKE_TORCHVISION, OURS, STOCK, TORCHVISION, Settings

Detections = dict[str, np.ndarray]  # boxes, scores, classes, masks of one image


class Ours:
    """`MaskRCNN.predict`."""

    def __init__(self, model: MaskRCNN, settings: Settings) -> None:
        self.model, self.transforms = model, our_transforms(settings)

    def objects(self, pixels: np.ndarray) -> list[Any]:
        """Every object with its mask in pixels of the image."""
        objects = self.model.predict(pixels, self.transforms)
        return [obj["mask"] for obj in objects]

    def encoded(self, pixels: np.ndarray) -> list[Any]:
        """Every object as COCO's evaluation wants it."""
        return self.model.predict(pixels, self.transforms, mask_format="rle")

    def network(self, image: torch.Tensor) -> list[Any]:
        """The network alone, on a resized image."""
        return detect(self._module, [as_input(image)])

    def detections(self, image: torch.Tensor) -> Detections:
        """All of one resized image, for comparing."""
        return detections_of(self._module, as_input(image))

    @property
    def _module(self) -> Any:
        assert self.model.network is not None
        return self.model.network.module


class Stock:
    """Detectron2's `DefaultPredictor`."""

    def __init__(self, weights: SharedWeights, settings: Settings) -> None:
        cfg = stock_cfg(settings, weights.num_classes)
        cfg.MODEL.WEIGHTS = str(weights.ours / WEIGHTS)
        self.predictor = DefaultPredictor(cfg)

    def objects(self, pixels: np.ndarray) -> list[Any]:
        objects = self.predictor(pixels)["instances"].to("cpu")
        return list(objects.pred_masks.numpy())

    def encoded(self, pixels: np.ndarray) -> list[Any]:
        return instances_to_coco_json(self.predictor(pixels)["instances"].to("cpu"), 1)

    @torch.no_grad()
    def network(self, image: torch.Tensor) -> list[Any]:
        return self.predictor.model.inference([as_input(image)], do_postprocess=False)

    @torch.no_grad()
    def detections(self, image: torch.Tensor) -> Detections:
        objects = self.predictor.model([as_input(image)])[0]["instances"].to("cpu")
        return {
            "boxes": objects.pred_boxes.tensor.numpy(),
            "scores": objects.scores.numpy(),
            "classes": objects.pred_classes.numpy(),
            "masks": objects.pred_masks.numpy(),
        }


class Torchvision:
    """torchvision's module, fed and read as its documentation does."""

    def __init__(self, weights: SharedWeights, settings: Settings) -> None:
        self.device = settings.device
        self.module: Any = torchvision_s(weights, settings, training=False)

    @torch.inference_mode()
    def _predict(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        detections = self.module([image.to(self.device) / 255])[0]
        return {key: value.cpu() for key, value in detections.items()}

    def _of_array(self, pixels: np.ndarray) -> dict[str, torch.Tensor]:
        rgb = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1))
        return self._predict(torch.from_numpy(rgb))

    def objects(self, pixels: np.ndarray) -> list[Any]:
        return list((self._of_array(pixels)["masks"][:, 0] > 0.5).numpy())

    def encoded(self, pixels: np.ndarray) -> list[Any]:
        detections = self._of_array(pixels)
        masks = (detections["masks"][:, 0] > 0.5).numpy().astype(np.uint8)
        rles = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
        rows = zip(detections["boxes"].tolist(), detections["scores"].tolist(), rles, strict=True)
        return [{"bbox": box, "score": score, "segmentation": rle} for box, score, rle in rows]

    @torch.inference_mode()
    def network(self, image: torch.Tensor) -> Any:
        """As its forward without `transform.postprocess`, which scales boxes and pastes masks."""
        images, _ = self.module.transform([image.to(self.device) / 255])
        features = self.module.backbone(images.tensors)
        proposals, _ = self.module.rpn(images, features)
        return self.module.roi_heads(features, proposals, images.image_sizes)

    def detections(self, image: torch.Tensor) -> Detections:
        detections = self._predict(image)
        return {
            "boxes": detections["boxes"].numpy(),
            "scores": detections["scores"].numpy(),
            "classes": detections["labels"].numpy() - 1,
        }


def detections_of(network: Any, image: dict[str, Any]) -> Detections:
    """What a network of ours detects in one image, for comparing."""
    [objects] = detect(network, [image])
    height, width = image["height"], image["width"]
    return {
        "boxes": np.array([obj.box for obj in objects]).reshape(-1, 4),
        "scores": np.array([obj.score for obj in objects]),
        "classes": np.array([obj.class_index for obj in objects]),
        "masks": np.array([obj.mask.dense(height, width) for obj in objects]),
    }


def predictors(weights: SharedWeights, settings: Settings) -> dict[str, Any]:
    """All contestants, those variants of ours included that differ in their network."""
    predictors: dict[str, Any] = {
        OURS: Ours(our_model(weights.ours, settings), settings),
        STOCK: Stock(weights, settings),
        LIKE_TORCHVISION: Ours(our_model(weights.like_torchvision, settings), settings),
        TORCHVISION: Torchvision(weights, settings),
    }
    for variant in settings.variants:
        if variant.model:
            predictors[variant.name] = Ours(_with_rows(weights, settings, variant.model), settings)
    return predictors


def pairs(settings: Settings) -> list[tuple[str, str]]:
    """Who is compared with whom."""
    pairs = [(OURS, STOCK), (LIKE_TORCHVISION, TORCHVISION)]
    return pairs + [(variant.name, STOCK) for variant in settings.variants if variant.model]


def images_of_size(arrays: list[np.ndarray], settings: Settings) -> list[torch.Tensor]:
    """(3, H, W) RGB uint8 of the size that the network sees."""
    tensors = []
    for pixels in arrays:
        height, width = pixels.shape[:2]
        scale = settings.size / min(height, width)
        size = round(width * scale), round(height * scale)
        planes = cv2.resize(pixels, size)[:, :, ::-1].transpose(2, 0, 1)
        tensors.append(torch.from_numpy(np.ascontiguousarray(planes)))
    return tensors


def over_all(work: Callable[[Any], Any], inputs: list[Any]) -> Callable[[], None]:
    """The work on every input, as one piece."""

    def run() -> None:
        for value in inputs:
            work(value)

    return run


def _with_rows(weights: SharedWeights, settings: Settings, changes: dict[str, Any]) -> MaskRCNN:
    """The same weights in a network of other rows."""
    model = our_model(weights.ours, settings)
    other = MaskRCNN(**section_as_plain(model.params) | changes)
    assert model.network is not None
    card = replace(model.network.card, params=other.params)
    other.network = build_network(card, settings.device)
    other.network.module.load_state_dict(model.network.module.state_dict())
    other.network.module.eval()
    return other


def as_input(image: torch.Tensor) -> dict[str, Any]:
    """An image in the form that Detectron2's networks take."""
    return {"image": image, "height": image.shape[1], "width": image.shape[2]}
