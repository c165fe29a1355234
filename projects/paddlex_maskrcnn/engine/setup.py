"""Set-up of a training run: checks of model, settings and data, then network, optimizer and schedule.

Every mistake of the user is reported here; nothing is written to disk before all checks have passed.
"""

from __future__ import annotations

import logging
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..config.schema import ModelParams, TrainParams
from ..data.check.quick import as_line, quick_findings
from ..data.datasets.base import DetectionDataset, check_dataset
from ..data.loader import build_train_loader, share_of_batch
from ..data.mapper import TrainMapper
from ..data.transforms import Compose
from ..inference.model_directory import WEIGHTS, read_card, read_tensors
from ..inference.network import (
    ModelCard,
    Network,
    build_network,
    choose_device,
)
from ..modeling.backbone import SSLD_MULTIPLIERS
from ..processes import is_main, join_processes, shard
from ..weights.input_format import IMAGENET_RGB, InputFormat
from ..weights.loading import WeightSource, load_weights
from ..weights.paddle_files import is_paddle_folder
from ..weights.source import open_weights
from .checkpoints import find_checkpoint
from .device import Precision, channels_last, wants_channels_last
from .fingerprint import settings_of
from .logs import check_loggers
from .optimizer import Ema, build_optimizer, factor_of
from .run_folder import folder_of, is_inside, refuse_other_run
from .trainer import Progress

logger = logging.getLogger(__name__)

# with what a script calls data_dir and ann_file; the page says how other formats are named
CHECK_COMMAND = "paddlex-maskrcnn check --data-dir DIR --ann-file FILE (docs/check.md)"

# part -> how the names of its modules begin; without FPN res5 works on regions, as a box head does
_PREFIXES = {
    "backbone": ("backbone.",),
    "neck": ("backbone.fpn_", "backbone.top_block", "backbone.reduction"),
    "rpn": ("proposal_generator.",),
    "box_head": ("roi_heads.box_", "roi_heads.res5"),
    "mask_head": ("roi_heads.mask_",),
}


@dataclass
class TrainingRun:
    """A run that is ready to take its first step.

    Attributes:
        network, optimizer, schedule, progress: as fresh, or as a resumed run left them.
        params: the arguments of `train(...)`.
        datasets: training data and held-out data (or None).
        eval_transforms: operators applied before evaluating and predicting.
        weights: one line on where the weights came from.
        settings: all that decides the course of the run, as flat plain values.
        precision, ema: of the steps; None without averaged weights.
        resume_from: the checkpoint to go on from, if any.
        random_state: of torch's generators, when a run goes on.
    """

    network: Network
    optimizer: Optimizer
    schedule: LambdaLR
    progress: Progress
    params: TrainParams
    train_dataset: DetectionDataset
    eval_dataset: DetectionDataset | None
    eval_transforms: Compose
    weights: str
    settings: dict[str, Any]
    precision: Precision
    ema: Ema | None = None
    resume_from: Path | None = None
    random_state: dict[str, Any] | None = None

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """The training batches from the current step on."""
        card = self.network.card
        assert self.train_dataset.transforms is not None
        mapper = TrainMapper(
            self.train_dataset.transforms,
            card.input_format.channel_order,
            card.params.input_channel,
            self.params.seed,
            labels=self.train_dataset.labels,
        )
        loader = build_train_loader(
            self.train_dataset,
            mapper,
            batch_size=self.params.train_batch_size,
            seed=self.params.seed,
            start_step=self.progress.step,
            num_workers=self.train_dataset.num_workers,
            shard=shard(),
            repeat_threshold=self.params.repeat_threshold,
            pinned=self.network.device.type == "cuda",
        )
        return iter(loader)

    def set_schedule(self) -> None:
        """Bring the learning rates to those of the current step."""
        # LambdaLR counts "epochs"; here each of them is a step. Its step() would start from the old count
        self.schedule.last_epoch = self.progress.step
        rates = [
            base * factor(self.progress.step)
            for base, factor in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.schedule._last_lr = rates


def set_up(
    model: ModelParams,
    params: TrainParams,
    train_dataset: DetectionDataset,
    eval_dataset: DetectionDataset | None,
    *,
    writes: bool = True,
    check_command: str = CHECK_COMMAND,
) -> TrainingRun:
    """Check everything and build a fresh run.

    Args:
        writes: the run is going to write into save_dir, which must not be another run's.
        check_command: what the user can type to see all that is wrong with this data.

    Raises:
        ValueError: for every mistake that can be seen before training.
    """
    device = choose_device(model.device)
    join_processes(device)
    transforms = _transforms(train_dataset, "train_dataset")
    eval_transforms = _eval_transforms(transforms, eval_dataset)
    check_num_classes(model, train_dataset)
    train_dataset.require_objects()
    _check_same_classes(train_dataset, eval_dataset)
    progress = _progress(params, train_dataset)
    factor = factor_of(params, progress.steps_per_epoch)
    _check_held_out(params, eval_dataset)
    check_loggers(params.loggers)
    resume_from = find_checkpoint(params)
    if writes and not is_inside(resume_from, folder_of(params)):
        refuse_other_run(params)
    if resume_from is not None:
        source = _format_only(resume_from)
    else:
        if is_main():
            _warn_of_data(train_dataset, eval_dataset, check_command)
        source = _weights(params.pretrain_weights, model)
    input_format = choose_input_format(model, transforms, eval_transforms, source)
    order, channels = input_format.channel_order, model.input_channel
    transforms.context(order, channels, train_dataset.labels)
    eval_transforms.deterministic().context(order, channels)
    # just before the network, whose random weights are the first numbers to be drawn
    seed_everything(params.seed, params.deterministic)
    card = ModelCard(
        params=model,
        labels=list(train_dataset.labels),
        category_ids=list(train_dataset.category_ids),
        input_format=input_format,
        pretrained=source is not None,
        transforms=eval_transforms.deterministic().to_config(),
        metric=params.metric or getattr(eval_dataset or train_dataset, "metric", "COCO"),
    )
    network = build_network(card, device)
    weights = "random"
    if source is not None:
        weights = source.name
        if resume_from is None:
            weights += f": {load_weights(network.module, source, card.labels)}"
    # before the optimizer, which takes only parameters that train
    network.frozen = freeze_parts(network.module, params.freeze)
    if wants_channels_last(network.device, params.amp):
        channels_last(network.module)
    optimizer = build_optimizer(network.module, params, _stage_factors(model))
    schedule = LambdaLR(optimizer, factor)
    return TrainingRun(
        network, optimizer, schedule, progress, params, train_dataset, eval_dataset,
        eval_transforms, weights,
        settings=settings_of(model, params, train_dataset, eval_dataset),
        precision=Precision(params.amp, device),
        ema=Ema(network.module, params.ema) if params.ema is not None else None,
        resume_from=resume_from,
    )  # fmt: skip


def _warn_of_data(
    train: DetectionDataset, held_out: DetectionDataset | None, check_command: str
) -> None:
    """What `check` would say, as far as it is seen without opening a picture: a warning each."""
    parts = {"train": train} | ({"eval": held_out} if held_out is not None else {})
    for finding in quick_findings(parts):
        logger.warning(as_line(finding, check_command))


def check_num_classes(model: ModelParams, dataset: DetectionDataset) -> None:
    """Raise ValueError when `num_classes` is not the data's foreground classes plus background."""
    right = len(dataset.labels) + 1
    if model.num_classes is not None and model.num_classes != right:
        shown = ", ".join(dataset.labels[:10]) + (", ..." if right > 11 else "")
        raise ValueError(
            f"num_classes is {model.num_classes}, but {dataset.name} has {right - 1} classes "
            f"({shown}): set num_classes to {right}, since the background counts as one"
        )


def check_writable(save_dir: Path) -> None:
    """Raise ValueError when nothing can be written into `save_dir` (created when missing)."""
    try:
        save_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=save_dir):
            pass
    except OSError as error:
        raise ValueError(
            f"save_dir {str(save_dir)!r} cannot be written to ({os.strerror(error.errno or 0)})"
        ) from error


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seed Python, numpy and torch.

    Args:
        deterministic: also choose algorithms that give the same bits every time, where there are.
    """
    if deterministic:
        # cuBLAS is deterministic with this setting only, and reads it when its first handle is made
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # numpy takes 32 bits
    torch.manual_seed(seed)


def _weights(pretrain_weights: str | None, model: ModelParams) -> WeightSource | None:
    """The weights to start from; a saved model's come with the input format of its card."""
    directory = Path(pretrain_weights or "")
    if pretrain_weights and directory.is_dir() and not is_paddle_folder(directory):
        card = read_card(directory)
        state = read_tensors(directory / WEIGHTS)
        return WeightSource(pretrain_weights, state, card.input_format, tuple(card.labels))
    return open_weights(pretrain_weights, model.backbone, model.with_fpn)


def _format_only(checkpoint: Path) -> WeightSource | None:
    """What a resumed run needs of the weights it once began with; None when they were random."""
    card = read_card(checkpoint)
    return WeightSource(str(checkpoint), {}, card.input_format) if card.pretrained else None


def _check_held_out(params: TrainParams, eval_dataset: DetectionDataset | None) -> None:
    if eval_dataset is None and (params.early_stop or params.validation_loss):
        key = "early_stop" if params.early_stop else "validation_loss"
        raise ValueError(f"{key} is true, but there is no held-out data: give eval_dataset")


def _stage_factors(model: ModelParams) -> dict[str, float]:
    """Distilled weights change slowly."""
    return SSLD_MULTIPLIERS if model.backbone == "ResNet50_vd_ssld" else {}


def _transforms(dataset: DetectionDataset, argument: str) -> Compose:
    check_dataset(dataset, argument)
    if dataset.transforms is None:
        raise ValueError(
            f"{argument} ({dataset.name}) has no transforms; give it transforms=Compose([...]) or "
            "ComposedRCNNTransforms(mode='train')"
        )
    return dataset.transforms


def _eval_transforms(train: Compose, eval_dataset: DetectionDataset | None) -> Compose:
    if eval_dataset is not None:
        return _transforms(eval_dataset, "eval_dataset")
    logger.info("No eval_dataset: predict() uses the training transforms without their random part")
    return train.deterministic()


def _check_same_classes(train: DetectionDataset, held_out: DetectionDataset | None) -> None:
    if held_out is not None and list(held_out.labels) != list(train.labels):
        raise ValueError(
            f"the classes of the data sets differ: {train.name} has {list(train.labels)}, "
            f"{held_out.name} has {list(held_out.labels)}"
        )


def _progress(params: TrainParams, dataset: DetectionDataset) -> Progress:
    steps = dataset.num_samples // params.train_batch_size  # an incomplete batch is left out
    if steps == 0:
        raise ValueError(
            f"train_batch_size is {params.train_batch_size}, but {dataset.name} has only "
            f"{dataset.num_samples} images"
        )
    _check_split(params.train_batch_size, shard()[1], params.accumulate)
    return Progress(step=0, steps_per_epoch=steps, num_epochs=params.num_epochs)


def _check_split(batch_size: int, processes: int, accumulate: int) -> None:
    share = share_of_batch(batch_size, processes)
    if accumulate > share:
        of_each = " of each process" if processes > 1 else ""
        raise ValueError(
            f"accumulate is {accumulate}, but a batch{of_each} has only {share} "
            "images to split (train_batch_size)"
        )


def choose_input_format(
    model: ModelParams, train: Compose, evaluating: Compose, source: WeightSource | None
) -> InputFormat:
    """The weights' format; statistics the user gives in Normalize replace those of scaled weights.

    Raises:
        ValueError: when the statistics cannot be right for the weights or the channels.
    """
    form = source.input_format if source else IMAGENET_RGB
    normalize, channels = train.normalize, model.input_channel
    other = evaluating.normalize
    if normalize and other and normalize.to_config() != other.to_config():
        raise ValueError(
            f"Normalize differs between training ({normalize.to_config()}) and evaluation "
            f"({other.to_config()}); the network needs the same in both"
        )
    # without arguments Normalize leaves the statistics to the weights
    if normalize is None or normalize.is_default:
        if channels != 3:
            raise ValueError(
                f"input_channel is {channels}: give Normalize mean and std with {channels} entries"
            )
        return form
    if len(normalize.mean) != channels:
        raise ValueError(
            f"Normalize has {len(normalize.mean)} entries, but input_channel is {channels}"
        )
    if not form.scaled:
        raise ValueError(
            "Normalize is given, but the weights of pretrain_weights need their own pixel "
            f"statistics (mean {list(form.pixel_mean)}, not scaled); write Normalize without arguments"
        )
    mean, std = normalize.pixel_mean, normalize.pixel_std
    # the user writes mean and std in RGB order
    if form.channel_order == "BGR" and channels == 3:
        mean, std = mean[::-1], std[::-1]
    return replace(form, pixel_mean=tuple(mean), pixel_std=tuple(std))


def freeze_parts(module: nn.Module, parts: Sequence[str]) -> list[nn.Module]:
    """Stop the parameters of these parts; returns the modules that must stay in evaluation mode.

    Args:
        parts: of the parameter `freeze`.

    Raises:
        ValueError: when a part does not exist in this network, or nothing is left to train.
    """
    frozen = []
    for part in parts:
        modules = [child for name, child in module.named_modules() if _belongs(name, part)]
        if not modules:
            raise ValueError(f"freeze names {part!r}, which this network does not have")
        frozen += modules
    for frozen_module in frozen:
        frozen_module.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"freeze is {list(parts)}: nothing would be left to train")
    return frozen


def _belongs(name: str, part: str) -> bool:
    # neck modules have names that begin with `backbone.` too
    if part == "backbone" and name.startswith(_PREFIXES["neck"]):
        return False
    return name.startswith(_PREFIXES[part])
