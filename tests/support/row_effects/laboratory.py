"""The table of cases, and the laboratory they work in: its data, a saved model, runs of seconds."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import torch

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms
from support.untrained import build_untrained, save_model_directory

from .watch import Scalars, Watch, installed, watching

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


def shared(make: Callable[[Laboratory], Any]) -> Callable[[Laboratory], Any]:
    """A function that computes once in each laboratory."""

    @functools.wraps(make)
    def of(lab: Laboratory) -> Any:
        key = f"{make.__module__}.{make.__name__}"
        if key not in lab.shared:
            lab.shared[key] = make(lab)
        return lab.shared[key]

    return of


class RunFolder:
    """What a run has left, and what was seen of it while it went on."""

    def __init__(
        self, folder: Path, watch: Watch, vdl: Scalars, wandb: Scalars, compiled_calls: int
    ) -> None:
        self.folder, self.watch, self.compiled_calls = folder, watch, compiled_calls
        self.vdl, self.wandb = vdl, wandb

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
        for image in content["images"]:
            image["file_name"] = f"{image['id']}.png"
            pixels = cv2.imread(files[image["id"]], cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(folder / image["file_name"]), pixels)
        annotations = self.folder / "grey.json"
        annotations.write_text(json.dumps(content))
        return pdx.datasets.CocoDetection(
            str(folder), str(annotations), num_workers=0, shuffle=True, transforms=GREY_RECIPE
        )

    @cached_property
    def saved(self) -> Path:
        """A model directory of random weights, drawn from a seed that no run has."""
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
    """Where cases find their material, try things, and leave what other cases look at too.

    Attributes:
        folder: of its runs.
        shared: what functions marked `shared` have returned.
    """

    def __init__(self, folder: Path, material: Material) -> None:
        self.folder, self.material = folder, material
        self.shared: dict[str, Any] = {}

    def train(self, name: str, dataset: Any, settings: dict[str, Any]) -> RunFolder:
        """Train in a folder of its own, with stand-ins for libraries that may be missing."""
        vdl, wandb, calls = Scalars(), Scalars(), []

        def compiled(function: Any, **options: Any) -> Any:
            def call(*arguments: Any, **more: Any) -> Any:
                calls.append(function)
                return function(*arguments, **more)

            return call

        model = pdx.det.MaskRCNN(num_classes=None, **SMALL)
        data = {
            "train_dataset": dataset,
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
        return RunFolder(model.save_dir, watch, vdl, wandb, len(calls))

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
