"""A Mask R-CNN trained with PaddleX 1.x, as a network of ours and as a model directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config.check import check_arguments
from ..config.schema import ModelParams
from ..data.transforms import Compose
from ..inference.model_directory import save_model_directory
from ..inference.network import ModelCard, Network, build_network
from ..weights.loading import LoadReport, load_all_weights
from ..weights.paddlex_model import PaddleXModel, read_paddlex_model


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


def as_network(model: PaddleXModel) -> Imported:
    """The network of a PaddleX model, in evaluation mode on the CPU.

    Raises:
        ValueError: when a setting or an operator is not known here, or a parameter is left over.
    """
    card = ModelCard(
        params=check_arguments(ModelParams, model.params),
        labels=model.labels,
        category_ids=list(range(1, len(model.labels) + 1)),
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
