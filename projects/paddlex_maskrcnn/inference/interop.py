"""Import of models that PaddleX 1.x saved, and use of saved models in plain Detectron2.

Differences of Detectron2's `DefaultPredictor` from `predict`: it resizes with Pillow, this project with
OpenCV, so that boxes of resized images differ a little.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ..config.check import check_arguments
from ..config.schema import ModelParams
from ..data.transforms import Compose
from ..weights.loading import LoadReport, load_all_weights
from ..weights.paddlex_model import PaddleXModel, is_of_paddlex, read_paddlex_model
from .model_directory import WEIGHTS, read_card, save_model_directory
from .network import ModelCard, Network, build_network, choose_device, detectron2_cfg

__all__ = [
    "Imported",
    "as_network",
    "default_predictor_cfg",
    "import_paddlex",
    "is_of_paddlex",
    "open_paddlex",
]

logger = logging.getLogger(__name__)

_NO_LIMIT = 10**6  # pixels; Detectron2 needs a number where ResizeByShort has -1
# Operators that the cfg of Detectron2 expresses: statistics, MIN_SIZE_TEST, padding to the stride.
_IN_CFG = ("Normalize", "ResizeByShort", "Padding")


def default_predictor_cfg(model_dir: str | os.PathLike[str], device: str = "auto") -> CfgNode:
    """The cfg of a saved model: network, weights, input size, class names.

    `DefaultPredictor(default_predictor_cfg("output/best_model"))` predicts as Detectron2 does;
    `MetadataCatalog.get(cfg.DATASETS.TEST[0])` has the class names.

    Args:
        model_dir: a directory that `train` or `save_model` wrote.
        device: auto, cpu or cuda.

    Raises:
        ValueError: when it is no complete model directory.
    """
    directory = Path(model_dir).resolve()
    card = read_card(directory)
    cfg = detectron2_cfg(card, choose_device(device))
    cfg.defrost()
    cfg.MODEL.WEIGHTS = str(directory / WEIGHTS)
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = _test_size(card)
    cfg.DATASETS.TEST = (_registered(card, directory),)
    cfg.freeze()
    return cfg


def _test_size(card: ModelCard) -> tuple[int, int]:
    """Short and longest side of the model's own transforms; 0 for images that are left as they are."""
    others = [name for name, _ in _operators(card) if name not in _IN_CFG]
    if others:
        logger.warning(
            "predict applies %s first, which DefaultPredictor cannot: its results will differ",
            " and ".join(others),
        )
    for name, arguments in _operators(card):
        if name == "ResizeByShort":
            short = arguments["short_size"]
            limit = arguments["max_size"]
            # of several sides, drawn at random in training, prediction takes the largest
            side = max(short) if isinstance(short, list) else short
            return side, limit if limit > 0 else _NO_LIMIT
    return 0, _NO_LIMIT


def _operators(card: ModelCard) -> list[tuple[str, dict[str, Any]]]:
    transforms = card.test_transforms()
    if transforms is None:
        return []
    return [next(iter(entry.items())) for entry in transforms.deterministic().to_config()]


def _registered(card: ModelCard, directory: Path) -> str:
    name = f"paddlex_maskrcnn:{directory}"
    MetadataCatalog.get(name).thing_classes = list(card.labels)
    return name


@dataclass(frozen=True)
class Imported:
    """A network and what is to tell of its import.

    Attributes:
        network: ready to predict.
        report: what happened to each parameter.
        notes: sentences for the user.
    """

    network: Network
    report: LoadReport
    notes: list[str]


def import_paddlex(folder: Path, target: Path) -> Imported:
    """Turn a folder that PaddleX 1.x saved into a model directory.

    Raises:
        ValueError: when the folder cannot be used, any parameter is left over on either side, or
            `target` is there already.
    """
    if target.exists():
        raise ValueError(f"{target} exists already; give --to a folder that does not")
    imported = as_network(read_paddlex_model(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_model_directory(target, imported.network)
    return imported


def open_paddlex(folder: Path, device: str) -> Network:
    """The network of a folder that PaddleX saved, ready to predict; nothing is written.

    Raises:
        ValueError: as `import_paddlex`.
    """
    imported = as_network(read_paddlex_model(folder))
    imported.network.module.to(device)
    for note in imported.notes:
        logger.warning("%s: %s", folder, note)
    logger.info(
        "%s was trained by PaddleX (%s); `paddlex-maskrcnn import-paddlex %s --to FOLDER` writes it as a "
        "model directory, which opens faster", folder, imported.report, folder,
    )  # fmt: skip
    return imported.network


def as_network(model: PaddleXModel) -> Imported:
    """The network of a PaddleX model, in evaluation mode on the CPU.

    Raises:
        ValueError: when a setting or an operator is not known here, or a parameter is left over.
    """
    card = ModelCard(
        params=check_arguments(ModelParams, model.params),
        labels=model.labels,
        category_ids=list(range(1, len(model.labels) + 1)),  # not saved by PaddleX; see _notes
        input_format=model.source.input_format,
        pretrained=True,
        transforms=None if model.transforms is None else _checked(model.transforms),
        metric=_metric(model.eval_metrics),
        eval_metrics=model.eval_metrics,
        completed_epochs=model.completed_epochs,
    )
    network = build_network(card, "cpu")
    report = load_all_weights(network.module, model.source)
    network.module.eval()
    return Imported(network, report, _notes(model))


def _checked(transforms: list[dict]) -> list[dict]:
    try:
        return Compose.from_config(transforms).to_config()
    except ValueError as error:
        raise ValueError(f"Transforms of the PaddleX model cannot be used: {error}") from error


def _metric(eval_metrics: dict[str, float]) -> str | None:
    """PaddleX does not save which metric it trained with, but the name of its number tells."""
    names = {"bbox_mmap": "COCO", "bbox_map": "VOC"}
    return next((names[name] for name in eval_metrics if name in names), None)


def _notes(model: PaddleXModel) -> list[str]:
    notes = [
        f"categories got the ids 1 to {len(model.labels)}, since PaddleX saves names only; evaluation "
        "needs data whose classes have this order"
    ]
    if model.transforms is None:
        notes.append("it has no operators (it was trained without eval_dataset): give predict some")
    return notes
