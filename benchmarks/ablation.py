"""What each component does on the drawn data set: one training a line, held-out AP against the baseline.

    python benchmarks/ablation.py [--epochs 2] [--markdown docs/ablation.md]

All lines share data, seed, schedule and the settings of configs/quickstart.yaml; only the named setting
differs. Ways of NMS need no training of their own: the baseline is evaluated with each.
The set is small and the training short: differences of a few points are noise, a collapse is a defect.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from side_by_side.arguments import positive

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.cli.experiment import open_dataset
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.config.show import section_as_plain

NUM_IMAGES = 240
CONFIG = Path(__file__).parents[1] / "configs" / "quickstart.yaml"

CHANCE = "the same with another seed"  # how much chance alone does; only when named
TRAINED = {
    "baseline (ResNet18, FPN)": {},
    CHANCE: {"seed": 2},
    "rpn_cls_loss SigmoidFocalLoss": {"rpn_cls_loss": "SigmoidFocalLoss"},
    "the same on all anchors": {"rpn_cls_loss": "SigmoidFocalLoss", "rpn_focal_loss_on": "all"},
    "rcnn_bbox_loss CIoULoss": {"rcnn_bbox_loss": "CIoULoss"},
    "bbox_assigner LibraBBoxAssigner": {"bbox_assigner": "LibraBBoxAssigner"},
    "with_dcn": {"with_dcn": True},
    "norm GN": {"norm": "GN"},
    "without FPN": {"with_fpn": False},
    "backbone ResNet50": {"backbone": "ResNet50"},
    "backbone ResNet50_vd": {"backbone": "ResNet50_vd"},
    "backbone HRNet_W18": {"backbone": "HRNet_W18"},
}
EVALUATED = {
    "rcnn_nms MultiClassSoftNMS": {"rcnn_nms": "MultiClassSoftNMS", "score_threshold": 0.01},
    "rcnn_nms MultiClassCiouNMS": {"rcnn_nms": "MultiClassCiouNMS"},
    "rcnn_nms MatrixNMS": {"rcnn_nms": "MatrixNMS"},
}


@dataclass(frozen=True)
class Line:
    """One row of the table; fractions and seconds."""

    name: str
    segm: float
    segm50: float
    bbox: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=positive, default=2)
    parser.add_argument("--markdown", type=Path, help="write the table there")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="baseline and these")
    arguments = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for line in run(arguments.epochs, Path(folder), arguments.only):
            lines.append(line)
            print(row(line, lines[0]), flush=True)
    if arguments.markdown:
        arguments.markdown.write_text(page(lines, arguments.epochs), encoding="utf-8")


def run(epochs: int, folder: Path, only: list[str]) -> Iterator[Line]:
    """Train and evaluate line by line; the baseline and, if any are named, those lines only."""
    loaded = load_experiment(
        CONFIG,
        [
            f"train.num_epochs={epochs}",
            f"train.save_interval_epochs={epochs}",
            f"train.lr_decay_epochs=[{max(1, epochs - 1)}]",
            f"data.train.num_images={NUM_IMAGES}",
            "data.train.data_dir=output/ablation_shapes",
        ],
    )
    settings = section_as_plain(loaded.experiment.train)
    train, held_out = open_dataset(loaded, "train"), open_dataset(loaded, "eval")
    base = dict(loaded.given["model"])
    for name, changes in TRAINED.items():
        if changes and name not in (only or TRAINED.keys() - {CHANCE}):
            continue
        started = time.perf_counter()
        of_train = {key: value for key, value in changes.items() if key == "seed"}
        of_model = {key: value for key, value in changes.items() if key not in of_train}
        model = pdx.det.MaskRCNN(num_classes=None, **base | of_model)
        settings["save_dir"] = str(folder / "run")
        model.train(**settings | of_train, train_dataset=train, eval_dataset=None)
        yield evaluated(name, model, held_out, time.perf_counter() - started)
        if not changes:
            model.save_model(folder / "baseline")
    for name, changes in EVALUATED.items():
        if only and name not in only:
            continue
        started = time.perf_counter()
        model = pdx.load_model(folder / "baseline")
        other = pdx.det.MaskRCNN(**section_as_plain(model.params) | changes)
        other.network = with_params(model.network, other.params)
        yield evaluated(name, other, held_out, time.perf_counter() - started)


def with_params(network, params):
    """The same weights in a network of other settings."""
    from paddlex_maskrcnn.inference.network import build_network

    rebuilt = build_network(replace(network.card, params=params), str(network.device))
    rebuilt.module.load_state_dict(network.module.state_dict())
    rebuilt.module.eval()
    return rebuilt


def evaluated(name: str, model, held_out, seconds: float) -> Line:
    found = model.full_evaluation(held_out)
    return Line(name, found.segm.ap, found.segm.ap50, found.bbox.ap, seconds)


def row(line: Line, baseline: Line) -> str:
    """A line of the Markdown table, percent."""
    change = 100 * (line.segm - baseline.segm)
    return (
        f"| {line.name} | {100 * line.segm:.1f} | {change:+.1f} | {100 * line.segm50:.1f} "
        f"| {100 * line.bbox:.1f} | {line.seconds / baseline.seconds:.2f} |"
    )


def page(lines: list[Line], epochs: int) -> str:
    """The table with its command, machine and date."""
    head = "| component | segm AP | against baseline | segm AP50 | box AP | time / baseline |"
    rows = "\n".join(row(line, lines[0]) for line in lines)
    return (
        f"# Ablation on the drawn data set\n\n`python benchmarks/ablation.py --epochs {epochs}`, "
        f"{platform.machine()} CPU, {datetime.date.today()}.\n\n{head}\n|---|---|---|---|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    main()
