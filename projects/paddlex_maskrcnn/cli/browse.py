"""``browse``: pictures of what the network sees, after all operators, with its training targets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..requirements import require_detectron2
from .experiment import Once, add_overrides

if TYPE_CHECKING:
    from ..config.load import LoadedExperiment
    from ..data.datasets.base import DetectionDataset

HELP = "draw what the network sees after augmentation, with masks, boxes and labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, action=Once, metavar="FILE", help="YAML experiment file"
    )
    parser.add_argument("--split", choices=("train", "eval"), default="train")
    parser.add_argument("--num", type=int, default=16, metavar="N", help="pictures (default: 16)")
    parser.add_argument(
        "--epoch", type=int, metavar="E", help="draw what this epoch starts with (default: 0)"
    )
    parser.add_argument(
        "--to", metavar="FOLDER", help="where they go (default: save_dir/browse/train or eval)"
    )
    add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0, or an error raised for the caller to explain."""
    from ..config.load import load_experiment

    split = arguments.split
    _check(arguments)
    loaded = load_experiment(arguments.config, arguments.overrides)
    if getattr(loaded.experiment.data, split) is None:
        raise ValueError(f"data.{split} is missing: browse --split {split} needs it")
    require_detectron2()
    from ..report.training_samples import write_samples
    from .experiment import open_dataset, resolve_auto

    dataset = open_dataset(loaded, split)
    loaded = resolve_auto(loaded, {split: dataset})
    count = min(arguments.num, dataset.num_samples)
    samples = (
        training_samples(loaded, dataset, arguments.epoch or 0)
        if split == "train"
        else eval_samples(loaded, dataset)
    )
    train = loaded.experiment.train
    default = Path(train.save_dir if train else "output") / "browse" / split
    folder = Path(arguments.to) if arguments.to else default
    value_range = _value_range(dataset)
    written = write_samples(islice(samples, count), dataset.labels, folder, value_range)
    print(f"{len(written) - 1} pictures in {folder}; all of them on {written[-1]}")
    return 0


def training_samples(
    loaded: LoadedExperiment, dataset: DetectionDataset, epoch: int
) -> Iterator[dict[str, Any]]:
    """What training takes from `epoch` on, in its order and with its random numbers."""
    from ..data.loader import build_train_loader
    from ..data.mapper import TrainMapper

    train = loaded.experiment.train
    batch_size = min(train.train_batch_size, dataset.num_samples) if train else 1
    seed = train.seed if train else 0
    channels = loaded.experiment.model.input_channel
    assert dataset.transforms is not None
    mapper = TrainMapper(dataset.transforms, "BGR", channels, seed, labels=dataset.labels)
    loader = build_train_loader(
        dataset,
        mapper,
        batch_size=batch_size,
        seed=seed,
        start_step=epoch * (dataset.num_samples // batch_size),
        num_workers=0,
        repeat_threshold=train.repeat_threshold if train else None,
    )
    return chain.from_iterable(loader)


def eval_samples(loaded: LoadedExperiment, dataset: DetectionDataset) -> Iterator[dict[str, Any]]:
    """What evaluation takes, in the order of the file, with the annotated objects."""
    from ..data.mapper import TrainMapper

    assert dataset.transforms is not None
    mapper = TrainMapper(
        dataset.transforms.deterministic(),
        "BGR",
        loaded.experiment.model.input_channel,
        0,
        reads_reduced=False,
    )
    return (mapper(record, 0, index) for index, record in enumerate(dataset.records))


def _check(arguments: argparse.Namespace) -> None:
    if arguments.num < 1:
        raise ValueError(f"--num is {arguments.num}; at least 1 is needed")
    if arguments.epoch is not None and arguments.epoch < 0:
        raise ValueError(f"--epoch is {arguments.epoch}; epochs count from 0")
    if arguments.epoch is not None and arguments.split == "eval":
        raise ValueError("--epoch goes with --split train only: evaluation is the same every time")


def _value_range(dataset: DetectionDataset) -> tuple[float, float]:
    """What Normalize says is black and white, for images that are not 8 bits."""
    assert dataset.transforms is not None
    normalize = dataset.transforms.normalize
    return (min(normalize.min_val), max(normalize.max_val)) if normalize else (0.0, 255.0)
