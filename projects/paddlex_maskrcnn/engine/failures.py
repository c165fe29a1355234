"""Failures of a training step: divergence, full memory, dead data processes, each with a remedy."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import OutOfMemoryError, TrainingTroubleError, lost_process
from ..inference.network import Network
from ..processes import shard

DIVERGED = "diverged.json"


class TrainingDivergedError(FloatingPointError):
    """The loss or the gradient is no longer a finite number.

    Attributes:
        report: plain values: step, learning rate, images, losses, gradient norms.
    """

    def __init__(self, message: str, report: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.report = dict(report)

    def write(self, save_dir: Path) -> Path:
        """The report as json, one file a process; returns its path."""
        rank, world = shard()
        path = save_dir / (DIVERGED if world == 1 else f"diverged_process_{rank}.json")
        path.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")
        return path


@dataclass(frozen=True)
class FailedStep:
    """What there is to report about a step that failed.

    Attributes:
        batch: the images of this process.
        step: counted from 1.
        lr: its learning rate.
        accumulate: parts the batch was to be split into.
        recent: records of steps before, with `losses` and `gradient_norm`.
    """

    network: Network
    batch: list[dict[str, Any]]
    step: int
    lr: float
    accumulate: int
    recent: Sequence[Any]

    def diverged(
        self, losses: Mapping[str, torch.Tensor], cause: str = ""
    ) -> TrainingDivergedError:
        """The error for a loss that is not finite, in this process or in another one.

        The gradients reported are those there are: of a loss, those of its backward pass.
        """
        values = {name: loss.item() for name, loss in losses.items()}
        shown = cause or ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        ids = [sample["image_id"] for sample in self.batch]
        # the mean over processes is not finite; when the losses here are, another process has the cause
        mine = "" if cause or not _finite(values) else " in another process"
        message = (
            f"the loss is not finite{mine} at step {self.step} ({shown}); images {ids}, learning rate "
            f"{self.lr:.3g}. Lower learning_rate, lengthen warmup_steps, or set clip_gradients: 10"
        )
        return TrainingDivergedError(message, self._report(values))

    def diverged_gradient(self, norm: float, step: int) -> TrainingDivergedError:
        """The error for a gradient that is not finite, of a loss that is.

        Args:
            norm: of the whole gradient.
            step: that it is of, counted from 1.
        """
        ids = [sample["image_id"] for sample in self.batch]
        images = f"; images {ids}" if ids else ""
        message = (
            f"the gradient is not finite (norm {norm}) at step {step}, though the loss is{images}, "
            f"learning rate {self.lr:.3g}. Lower learning_rate, lengthen warmup_steps, or train in 32 bits "
            "(amp: off)"
        )
        return TrainingDivergedError(message, self._report({}))

    def out_of_memory(self, error: Exception) -> OutOfMemoryError:
        """The error for a device whose memory is full."""
        images = ", ".join(
            f"{sample['image'].shape[-1]}x{sample['image'].shape[-2]} with "
            f"{len(sample['instances'])} objects"
            for sample in self.batch
        )
        device = "the GPU" if self.network.device.type == "cuda" else "this machine"
        parts = min(len(self.batch), self.accumulate * 2)  # at least one image in each part
        remedies = [
            f"set train.accumulate: {parts} (the batch in {parts} parts, nearly the same training)"
            if parts > self.accumulate
            else "",
            "set train.amp: bf16 and model.gradient_checkpointing: true (the same results to rounding)",
            "lower the short side in ResizeByShort, or train_batch_size with learning_rate in proportion",
        ]
        listed = "; ".join(
            f"{n}. {remedy}" for n, remedy in enumerate(filter(None, remedies), start=1)
        )
        return OutOfMemoryError(
            f"{device} has not enough memory for step {self.step}: {len(self.batch)} images "
            f"(width x height {images}){_amounts(error)}. In this order: {listed}"
        )

    def _report(self, losses: Mapping[str, float]) -> dict[str, Any]:
        return {
            "step": self.step,
            "learning_rate": self.lr,
            "losses": {name: _plain(value) for name, value in losses.items()},
            "before": [
                {
                    "loss": record.losses["loss"],
                    "gradient_norm": _plain(float(record.gradient_norm)),
                }
                for record in self.recent
            ],
            "gradient_norms": _gradient_norms(self.network.module),
            "images": [
                {
                    "image_id": sample["image_id"],
                    "file_name": sample.get("file_name"),
                    "size": list(sample["image"].shape[-2:]) if "image" in sample else None,
                    "objects": len(sample["instances"]) if "instances" in sample else None,
                }
                for sample in self.batch
            ],
        }


@contextlib.contextmanager
def explained(failed: FailedStep) -> Iterator[None]:
    """Turn the errors a step can die of into messages with a remedy."""
    try:
        yield
    except TrainingDivergedError:
        raise
    except FloatingPointError as error:  # Detectron2's, when proposals are not finite
        raise failed.diverged({}, str(error)) from error
    except torch.cuda.OutOfMemoryError as error:
        raise failed.out_of_memory(error) from error
    except RuntimeError as error:  # torch has no types of its own for these, only texts
        text = str(error)
        if "can't allocate memory" in text or "not enough memory" in text:
            raise failed.out_of_memory(error) from error
        if "DataLoader worker" in text:
            raise _worker_died(text) from error
        if lost := lost_process(error):
            raise lost from error
        raise


def _worker_died(text: str) -> TrainingTroubleError:
    reason = re.search(r"killed by signal: [^.]*", text)
    why = f"was {reason.group(0)}" if reason else "has ended unexpectedly"
    return TrainingTroubleError(
        f"a process that loads images {why}. Mostly that is too little memory: set num_workers of "
        "the data set lower (0 loads in the training process and shows any other error). "
        "In a container also give it shared memory: docker run --ipc=host"
    )


def _amounts(error: Exception) -> str:
    """The size of the allocation that failed, as torch's message gives it."""
    tried = re.search(r"(?:Tried to allocate|tried to allocate) ([\d.]+ \w+)", str(error))
    return f"; the last request was for {tried.group(1)}" if tried else ""


def _gradient_norms(module: torch.nn.Module) -> dict[str, float | str]:
    """L2 norm of the gradient of each part, and of all; NaN and infinity as text."""
    squares: dict[str, float] = {}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            part = ".".join(name.split(".")[:2])  # backbone.bottom_up, roi_heads.mask_head, ...
            squares[part] = squares.get(part, 0.0) + float(parameter.grad.float().square().sum())
    squares["all"] = sum(squares.values())
    return {part: _plain(math.sqrt(square)) for part, square in squares.items()}


def _finite(values: Mapping[str, float]) -> bool:
    return all(math.isfinite(value) for value in values.values())


def _plain(value: float) -> float | str:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else str(value)
