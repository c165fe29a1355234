"""The table of cases and what they share: one network of each kind, and a few runs of seconds."""

from __future__ import annotations

import contextlib
import copy
import importlib.machinery
import json
import logging
import sys
import types
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import torch
from detectron2.modeling import Backbone, GeneralizedRCNN
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms
from support.untrained import build_untrained

Case = Callable[["Laboratory"], None]
CASES: dict[tuple[type, str], Case] = {}

# (class, row) -> what a disconnected row reads, from the laboratory, where that is not the default: a row
# that has none, or one that would need the network
REPLACEMENTS: dict[tuple[type, str], Callable[[Laboratory], Any]] = {}

SMALL = {
    "backbone": "ResNet18",
    "anchor_sizes": [8, 16, 32, 64, 128],
    "fpn_num_channels": 16,
    "norm": "GN",  # random weights with the statistics of no data diverge
    "rpn_batch_size_per_im": 16,
    "rcnn_batch_size_per_im": 4,
    "train_post_nms_top_n": 20,
    "test_post_nms_top_n": 20,
    "keep_top_k": 5,
    "device": "cpu",
}
FAST = {"pretrain_weights": None, "warmup_steps": 0, "num_epochs": 1}


def shows(kind: type, *rows: str) -> Callable[[Case], Case]:
    """Register a function as the case of these rows."""

    def register(case: Case) -> Case:
        for name in rows:
            assert (kind, name) not in CASES, f"{name} has two cases"
            CASES[kind, name] = case
        return case

    return register


class Watch:
    """What happened inside of a block: log lines, batches that entered a network, precisions.

    Attributes:
        messages: of the package's loggers.
        batches: the input dicts of each call of a network, as training makes them.
        together: images that entered a backbone at once, backbones in backbones counted too.
        precisions: data types of what convolutions returned while a network trained.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.together: list[int] = []
        self.precisions: set[torch.dtype] = set()

    @property
    def text(self) -> str:
        """All log lines."""
        return "\n".join(self.messages)

    @property
    def files(self) -> list[str]:
        """Image files that entered a network, in their order."""
        return [one["file_name"] for batch in self.batches for one in batch]

    def before_forward(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, GeneralizedRCNN):
            self.batches.append(inputs[0])
        if isinstance(module, Backbone):
            self.together.append(len(inputs[0]))

    def after_forward(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Conv2d) and module.training:
            self.precisions.add(output.dtype)


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch while the block runs."""
    watch = Watch()
    logger = logging.getLogger("paddlex_maskrcnn")
    handler = logging.Handler()
    handler.emit = lambda record: watch.messages.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    hooks = [
        register_module_forward_pre_hook(watch.before_forward),
        register_module_forward_hook(watch.after_forward),
    ]
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.contextmanager
def installed(name: str, **content: Any) -> Iterator[None]:
    """A library of this name can be imported while the block runs, whether it is there or not."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(content)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


class Scalars:
    """Stands in for the writers of VisualDL and Weights & Biases."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.names: set[str] = set()
        self.closed = False

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.names.add(tag)

    def log(self, values: dict[str, float], step: int) -> None:
        self.names.update(values)

    def close(self) -> None:
        self.closed = True

    finish = close


class RunFolder:
    """What a run has left, and what was seen of it while it went on."""

    def __init__(self, folder: Path, watch: Watch, model: Any, **more: Any) -> None:
        self.folder, self.watch, self.model = folder, watch, model
        self.vdl: Scalars = more.get("vdl", Scalars())
        self.wandb: Scalars = more.get("wandb", Scalars())
        self.compiled_calls: int = more.get("compiled_calls", 0)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl of one kind."""
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [row for row in map(json.loads, lines) if row["kind"] == kind]

    @property
    def epochs(self) -> list[int]:
        """Numbers of the folders epoch_k."""
        return sorted(int(path.name.split("_")[1]) for path in self.folder.glob("epoch_*"))

    def weights(self, epoch: int) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / f"epoch_{epoch}" / "model.pth", weights_only=True)

    def state(self, epoch: int) -> dict[str, Any]:
        return torch.load(self.folder / f"epoch_{epoch}" / "state.pth", weights_only=True)


class Material:
    """What no row changes: pictures, and a saved model to start from and to evaluate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def drawn(self, name: str, num_images: int) -> Any:
        """A data set of drawn shapes; each name has other pictures."""
        return pdx.datasets.DrawnShapes(
            self.folder / "shapes", name, num_images=num_images, image_size=64, num_workers=0,
            shuffle=True, transforms=RECIPE,
        )  # fmt: skip

    @cached_property
    def train_data(self) -> Any:
        return self.drawn("train", 4)

    @cached_property
    def single(self) -> Any:
        return self.drawn("single", 1)

    @cached_property
    def eval_data(self) -> Any:
        return self.drawn("val", 2)

    @cached_property
    def grey_data(self) -> Any:
        """The training data in pictures of one channel."""
        folder, content = self.folder / "grey", copy.deepcopy(self.train_data.coco_gt.dataset)
        folder.mkdir()
        files = {record["image_id"]: record["file_name"] for record in self.train_data.records}
        for one in content["images"]:
            one["file_name"] = f"{one['id']}.png"
            pixels = cv2.imread(files[one["id"]], cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(folder / one["file_name"]), pixels)
        annotations = self.folder / "grey.json"
        annotations.write_text(json.dumps(content))
        return pdx.datasets.CocoDetection(
            str(folder), str(annotations), num_workers=0, shuffle=True, transforms=GREY_RECIPE
        )

    @cached_property
    def saved(self) -> Path:
        """A model directory of random weights, drawn from a seed that no run has."""
        from paddlex_maskrcnn.engine.model_directory import save_model_directory

        labels = self.train_data.labels
        settings = {**SMALL, "num_classes": None}
        network = build_untrained(RECIPE, seed=99, labels=labels, **settings)
        save_model_directory(self.folder / "saved", network)
        return self.folder / "saved"


RECIPE = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(32, 48)])
GREY_RECIPE = transforms.Compose(
    [transforms.Normalize(mean=[0.5], std=[0.25]), transforms.ResizeByShort(32, 48)]
)


class Laboratory:
    """Networks, runs and results that cases look at, each made when it is first asked for."""

    def __init__(self, folder: Path, material: Material) -> None:
        self.folder, self.material = folder, material

    @cached_property
    def fpn(self) -> GeneralizedRCNN:
        """A pyramid network whose rows all have values of their own."""
        from .model import FPN

        return build_untrained(**FPN).module

    @cached_property
    def c4(self) -> GeneralizedRCNN:
        """A network without pyramid, with the values that exclude those of `fpn`."""
        from .model import C4

        return build_untrained(**C4).module

    @cached_property
    def run(self) -> RunFolder:
        """Three epochs of two steps, with everything that can be set together."""
        from .train import RUN

        return self.train("run", RUN)

    @cached_property
    def stopped(self) -> RunFolder:
        """A run that stops early since nothing improves, compiled by a stand-in."""
        from .train import STOPPED

        return self.train("stopped", STOPPED)

    @cached_property
    def resumed(self) -> RunFolder:
        """The stopped run, taken up again and no longer stopped early."""
        from .train import RESUMED

        checkpoint = self.stopped.folder / "epoch_2"
        return self.train("resumed", {**RESUMED, "resume_checkpoint": str(checkpoint)})

    def train(self, name: str, settings: dict[str, Any]) -> RunFolder:
        """Train in a folder of its own, with stand-ins for libraries that may be missing."""
        vdl, wandb, calls = Scalars(), Scalars(), []

        def compiled(function: Any, **options: Any) -> Any:
            def call(*arguments: Any) -> Any:
                calls.append(function)
                return function(*arguments)

            return call

        model = pdx.det.MaskRCNN(num_classes=None, **SMALL)
        data = {
            "train_dataset": self.material.train_data if name == "run" else self.material.single,
            "eval_dataset": self.material.eval_data,
            "pretrain_weights": str(self.material.saved),
        }
        folder = self.folder / name
        with (
            watching() as watch,
            installed("visualdl", LogWriter=lambda folder: vdl),
            installed("wandb", init=lambda **more: wandb),
            mock.patch("torch.compile", compiled),
        ):
            model.train(**{**FAST, **data, **settings}, save_dir=str(folder))
        return RunFolder(folder, watch, model, vdl=vdl, wandb=wandb, compiled_calls=len(calls))

    def dry_run(self, model_rows: dict[str, Any] | None = None, **settings: Any) -> Any:
        """One step of a run of nothing but the defaults and these settings; what `watching` saw too."""
        model = pdx.det.MaskRCNN(**{"num_classes": None, **SMALL, **(model_rows or {})})
        with watching() as watch:
            report = model.dry_run(
                **{**FAST, "train_dataset": self.material.train_data, **settings},
                save_dir=str(self.folder / "never"),
            )
        return report, watch

    def refusal(self, model_rows: dict[str, Any] | None = None, **settings: Any) -> str:
        """What the user is told; empty when the step runs."""
        try:
            self.dry_run(model_rows, **settings)
        except ValueError as error:
            return str(error)
        return ""

    @cached_property
    def step(self) -> Any:
        """The dry run with everything that shows in a single step, its watch and its optimizer."""
        from .train import step_with_everything

        return step_with_everything(self)

    @cached_property
    def evaluated(self) -> Any:
        """The evaluation with all its rows set: what it returned, and its watch."""
        from .results import evaluate_with_everything

        return evaluate_with_everything(self)
