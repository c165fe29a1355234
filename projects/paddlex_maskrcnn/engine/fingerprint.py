"""What decides the course of a run, as flat plain values, and how two runs differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ..config.operator_params import TRANSFORMS
from ..config.params import REQUIRED, default_of
from ..config.schema import RETIRED, ModelParams, TrainParams
from ..config.show import section_as_plain
from ..data.datasets.base import DetectionDataset

_SECTIONS: dict[str, type] = {"model": ModelParams, "train": TrainParams}
# Parameters without influence on the weights: they may change when a run is resumed. `compile` is one of
# them as its results are equal up to rounding.
_FREE = {
    "model": {"device"},
    "train": {
        "save_dir", "resume_checkpoint", "allow_changes", "log_interval_steps", "use_vdl",
        "loggers", "keep_last", "save_interval_steps", "compile", "if_exists",
        "max_minutes",
    },
}  # fmt: skip
_SHOWN = 12  # differences in a message; more hide those that matter


def settings_of(
    model: ModelParams,
    train: TrainParams,
    train_dataset: DetectionDataset,
    eval_dataset: DetectionDataset | None,
) -> dict[str, Any]:
    """Key -> plain value, for the record in a checkpoint."""
    settings = _section("model", asdict(model)) | _section("train", section_as_plain(train))
    settings["train.optimizer"] = name_of_optimizer(train.optimizer)
    settings |= _dataset("data.train", train_dataset)
    return settings | (_dataset("data.eval", eval_dataset) if eval_dataset else {})


def name_of_optimizer(chosen: Any) -> Any:
    """A plain value for the parameter `optimizer`: a function's name, which stays from run to run."""
    if isinstance(chosen, Callable):  # type: ignore[arg-type]
        return f"{chosen.__module__}.{getattr(chosen, '__qualname__', type(chosen).__name__)}"
    return chosen


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A sentence for each setting that is not what it was.

    Args:
        before: a checkpoint's record, perhaps of an earlier version: a parameter that came after it counts
            as its default, and one that is retired, or without influence by now, does not count.
        now: the settings of this run.
    """
    before = _in_todays_rows(before)
    before = {key: value for key, value in _todays_defaults().items() if key in now} | before
    changed = [
        key for key in (*now, *(before.keys() - now.keys())) if before.get(key) != now.get(key)
    ]
    lines = [f"{key} was {before.get(key)!r} and is {now.get(key)!r}" for key in changed]
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], f"and {more} more"] if more > 0 else lines


def _in_todays_rows(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the parameters that no longer count, its operators with all of today's arguments."""
    return {
        key: [_operator(entry) for entry in value]
        if key.endswith(".transforms") and value
        else value
        for key, value in record.items()
        if not _counts_no_longer(*key.split(".", 1))
    }


def _counts_no_longer(section: str, name: str = "") -> bool:
    kind = _SECTIONS.get(section)
    return kind is not None and (name in _FREE[section] or name in RETIRED.get(kind, {}))


def _operator(entry: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{name: arguments} with defaults for the arguments that are not there, without retired ones."""
    ((name, arguments),) = entry.items()
    kind = TRANSFORMS.get(name)
    if kind is None:
        return {name: dict(arguments)}
    retired = RETIRED.get(kind, {})
    current = {key: value for key, value in arguments.items() if key not in retired}
    return {name: _defaults(kind) | current}


def _todays_defaults() -> dict[str, Any]:
    return {
        f"{section}.{key}": value
        for section, kind in _SECTIONS.items()
        for key, value in _defaults(kind).items()
    }


def _defaults(kind: type) -> dict[str, Any]:
    """Parameter -> default, of those that have one."""
    defaults = {this.name: default_of(this) for this in fields(kind)}
    return {name: value for name, value in defaults.items() if value is not REQUIRED}


def _section(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in values.items() if key not in _FREE[name]}


def _dataset(key: str, dataset: DetectionDataset) -> dict[str, Any]:
    transforms = dataset.transforms
    return {
        f"{key}.num_samples": dataset.num_samples,
        f"{key}.labels": list(dataset.labels),
        f"{key}.shuffle": dataset.shuffle,
        f"{key}.transforms": transforms.to_config() if transforms is not None else None,
        f"{key}.content": _fingerprint(dataset),
    }


def _fingerprint(dataset: DetectionDataset) -> str:
    """Changes when images or annotations come, go or move; the folder they lie in may change."""
    digest = hashlib.sha256()
    for record in dataset.records:
        digest.update(repr((record["image_id"], record["width"], record["height"])).encode())
        for annotation in record["annotations"]:
            digest.update(repr((annotation["category_id"], annotation["iscrowd"])).encode())
            digest.update(_outline(annotation["segmentation"]))
    return digest.hexdigest()[:16]  # 64 bits: against accidents, not against attacks


def _outline(segmentation: Any) -> bytes:
    """Bytes of an object's polygons or run lengths."""
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        return counts if isinstance(counts, bytes) else str(counts).encode()
    return b"".join(np.asarray(part, np.float64).tobytes() for part in segmentation)
