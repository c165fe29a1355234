"""Several processes: one against two measured on the CPU, and up to 64 GPUs on paper.

    python benchmarks/scaling.py [--steps 8] [--rounds 2] [--paper-only] [--json output/scaling.json]

Measured: `train --num-gpus` on drawn images with ResNet50-FPN, the same images for each process and one
thread each, so that two processes on two free cores would take as long as one if gradients travelled
for nothing. On paper: `all_reduce.py`, with the trainable parameters counted from the network.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from all_reduce import ETHERNET, NVLINK, efficiency, ring_seconds
from side_by_side.arguments import at_least, output_file, positive

_SETTINGS: dict[str, dict] = {
    "model": {
        "backbone": "ResNet50",
        "device": "cpu",
        "norm": "FrozenBN",
        "freeze_at": 2,
        "rcnn_batch_size_per_im": 64,
    },
    "train": {
        "num_epochs": 1,
        "pretrain_weights": None,
        "learning_rate": 1e-7,
        "warmup_steps": 0,
        "log_interval_steps": 1,
        "clip_gradients": 1,
    },
    "predict": {"num_pictures": 0, "report": False},
}
_WARM_UP = 2  # steps
PROCESSES = (1, 2, 4, 8, 16, 32, 64)
GPUS_A_NODE = 8
# 0.26 s: Detectron2's MODEL_ZOO.md, Mask R-CNN R50-FPN on V100, two images a GPU
STEP_SECONDS = (0.26, 0.065)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scaling.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--steps", type=at_least(3), default=8, help="of a run; the first two do not count"
    )
    parser.add_argument(
        "--rounds", type=positive, default=2, help="runs of each, in turns; %(default)s"
    )
    parser.add_argument(
        "--size", type=positive, default=256, help="side of the images, pixels; %(default)s"
    )
    parser.add_argument("--paper-only", action="store_true")
    parser.add_argument("--json", type=output_file, default=Path("output/scaling.json"))
    args = parser.parse_args(arguments)
    found: dict = {"paper": paper(count_gradient_bytes())}
    if not args.paper_only:
        found["measured"] = measured(args.steps, args.rounds, args.size)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def count_gradient_bytes() -> int:
    """Of a step of the default network with pretrained weights: 4 for each trainable parameter."""
    from paddlex_maskrcnn.config.schema import ModelParams
    from paddlex_maskrcnn.inference.network import ModelCard, build_network
    from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB

    labels = [str(k) for k in range(80)]
    card = ModelCard(ModelParams(), labels, list(range(80)), IMAGENET_RGB, pretrained=True)
    module = build_network(card, "cpu").module
    return sum(4 * one.numel() for one in module.parameters() if one.requires_grad)


def paper(num_bytes: int) -> dict:
    """The table of expected efficiencies, printed as Markdown."""
    print(
        f"gradients of a step: {num_bytes / 4e6:.1f} million parameters, {num_bytes / 1e6:.0f} MB\n"
    )
    print(
        "| GPUs | links | all-reduce | step 0.26 s | step 0.065 s | the same, steps vary by 5 % |"
    )
    print("|---|---|---|---|---|---|")
    rows = []
    for count in PROCESSES[1:]:
        links = NVLINK if count <= GPUS_A_NODE else ETHERNET
        seconds = ring_seconds(num_bytes, count, links)
        expected = [efficiency(num_bytes, count, links, step) for step in STEP_SECONDS]
        waiting = efficiency(num_bytes, count, links, STEP_SECONDS[-1], variation=0.05)
        shown = " | ".join(f"{100 * one:.1f} %" for one in (*expected, waiting))
        print(f"| {count} | {links.name} | {seconds * 1e3:.1f} ms | {shown} |")
        rows.append({"gpus": count, "links": links.name, "all_reduce_seconds": seconds,
                     "efficiency": expected, "with_variation": waiting})  # fmt: skip
    return {"gradient_bytes": num_bytes, "rows": rows}


def measured(steps: int, rounds: int, size: int) -> dict:
    """Median seconds of a step of one and of two processes, in turns."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for processes, found in seconds.items():
            found += _run(processes, steps, size)
    one, two = (statistics.median(seconds[count]) for count in (1, 2))
    print(
        f"\na step of one process {one:.2f} s, of two {two:.2f} s: efficiency {100 * one / two:.0f} %"
    )
    return {"seconds": seconds, "efficiency": one / two}


def _run(processes: int, steps: int, size: int) -> list[float]:
    """Seconds of the steps of one run, an image a process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "experiment.yaml"
        config.write_text(
            yaml.safe_dump(_experiment(folder, processes, steps, size)), encoding="utf-8"
        )
        command = [sys.executable, "-W", "ignore", "-m", "paddlex_maskrcnn", "train"]
        command += ["--config", str(config)]
        command += ["--num-gpus", str(processes)] if processes > 1 else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"training in {processes} processes failed:\n{done.stderr[-3000:]}")
        lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["seconds_per_step"] for row in rows if row["kind"] == "train"][_WARM_UP:]


def _experiment(folder: Path, processes: int, steps: int, size: int) -> dict:
    data = {
        "type": "DrawnShapes", "data_dir": str(folder / "shapes"), "num_images": steps * processes,
        "image_size": size, "num_workers": 0,
    }  # fmt: skip
    train = {**_SETTINGS["train"], "train_batch_size": processes, "save_dir": str(folder / "run")}
    transforms = {"train": ["Normalize"], "eval": ["Normalize"]}
    return {**_SETTINGS, "train": train, "data": {"train": data, "transforms": transforms}}


if __name__ == "__main__":
    sys.exit(main())
