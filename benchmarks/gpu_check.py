"""Whether everything works on a GPU, and how fast; `benchmarks/gpu_check.sh` starts this.

Steps, each in a process of its own with a time limit and a log: training step and prediction timed
beside Detectron2 and torchvision, in 32 bits and with AMP (`run.py`); the tests marked gpu; a short
training in 32 bits and another with AMP (`train_net.py`); accelerated against plain, which have to be
equal (`acceleration.py --check`). One table at the end; the exit status is 1 when a step failed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import runpy
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from side_by_side import command
from side_by_side.record import amount, read_record
from side_by_side.rounds import Spread

import acceleration

_SHELL = """
arguments of gpu_check.sh itself:
  --site FOLDER     packages that Python does not have (or the variable GPU_CHECK_SITE)
  --python PROGRAM  a Python with PyTorch (or the variable PYTHON); python3
"""
_STEPS = "[Normalize, {ResizeByShort: {short_size: 48, max_size: 64}}]"
# small enough for one core of a CPU, on which 16 bits are slow
_TINY = (
    "data.train.num_images=2", "data.eval.num_images=2", "train.num_epochs=1",
    "train.lr_decay_epochs=[]", "model.fpn_num_channels=16", "model.rcnn_batch_size_per_im=4",
    "model.train_post_nms_top_n=20", "model.test_post_nms_top_n=10", "model.keep_top_k=5",
    f"data.transforms.train={_STEPS}", f"data.transforms.eval={_STEPS}",
)  # fmt: skip
_TINY_NETWORK = (
    "tiny:train.pretrain_weights=null,model.backbone=ResNet18,model.fpn_num_channels=16,"
    "model.score_threshold=0.005,model.keep_top_k=10,model.test_post_nms_top_n=30"
)


@dataclass(frozen=True)
class Step:
    """A part of the check.

    Attributes:
        name: in the table; its log has the same name.
        limit: seconds after which it has failed. All limits together are eight minutes.
        work: returns an exit status; what it prints goes into the log.
        result: a few words on what it wrote.
    """

    name: str
    limit: int
    work: Callable[[], int]
    result: Callable[[], str] = str


def timing(args: argparse.Namespace) -> Step:
    """Training step and prediction; ratios above 1 are in favour of this package."""
    path = args.out / "timing.json"
    arguments = ["--parts", "step,predict", "--device", args.device, "--json", str(path)]
    if args.tiny:  # the tests of run.py itself take its other parts
        arguments += ["--quick", "--rounds", "1", "--parts", "nms,coco"]
    else:
        arguments += ["--amp", args.amp, "--rounds", "5"]

    def result() -> str:
        record = read_record(path)
        for row in record.rows:
            ours, theirs = Spread.of(row.values).median, Spread.of(row.against_values).median
            print(
                f"  {row.part}, {row.work}: {row.contestant} {amount(ours, row.unit)}, "
                f"{row.against} {amount(theirs, row.unit)}: {row.ratio.median:.2f} times as fast"
            )
        return f"{len(record.rows)} rows, {len(record.checks)} checks of equal work"

    return Step("timing", 180, partial(command.main, arguments), result)


def gpu_tests(args: argparse.Namespace) -> Step:
    """The tests marked gpu; the tiny form only looks for those of a file."""
    where = ["--collect-only", "tests/modeling/test_nms.py"] if args.tiny else ["tests"]
    arguments = ["-q", "-m", "gpu", "-p", "no:cacheprovider", *where]

    def work() -> int:
        import pytest  # a Python without it can still take the other steps

        return int(pytest.main(arguments))

    return Step("tests", 120, work, lambda: _last_line(args.out / "tests.log"))


def training(args: argparse.Namespace, amp: str) -> Step:
    """A training with evaluation: of --data or of drawn images."""
    folder = args.out / f"training_{amp}"
    # quoted: off alone is a truth value in YAML
    overrides = [f"model.device={args.device}", f"train.amp='{amp}'", f"train.save_dir={folder}"]
    config = args.config or "configs/quickstart.yaml"
    if args.config is None:
        drawn = args.out / "drawn"
        overrides += [f"data.train.data_dir={drawn}", f"data.eval.data_dir={drawn}"]
        overrides += _TINY if args.tiny else ["data.train.num_images=128", "train.num_epochs=2"]

    def work() -> int:
        shutil.rmtree(folder, ignore_errors=True)  # a run is not written over another one
        sys.argv = ["train_net.py", "--config", config, *overrides, *args.overrides]
        runpy.run_path("train_net.py", run_name="__main__")
        return 0

    def result() -> str:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        last = {key: value for line in lines for key, value in json.loads(line).items()}
        numbers = {
            key: last[key]
            for key in ("loss", "bbox_mmap", "segm_mmap", "images_per_second")
            if key in last
        }
        return ", ".join(f"{key} {value:.3g}" for key, value in numbers.items())

    return Step(folder.name, 60, work, result)


def equality(args: argparse.Namespace) -> Step:
    """Accelerated against plain: on a GPU both are Detectron2's way, so that this shows equality."""
    arguments = ["--check", "--device", args.device]
    arguments += ["--quick", "--variant", _TINY_NETWORK] if args.tiny else []
    return Step(
        "equality", 60, partial(acceleration.main, arguments),
        lambda: _last_line(args.out / "equality.log"),
    )  # fmt: skip


def _last_line(log: Path) -> str:
    return log.read_text(encoding="utf-8").strip().splitlines()[-1]


def run(step: Step, log: Path) -> tuple[bool, float, str]:
    """Take a step; whether it passed, its seconds, and what to say about it."""
    print(f"{step.name} ...", flush=True)
    started = time.perf_counter()
    # forked, so that imports are paid for once; the parent has not touched the GPU
    process = multiprocessing.get_context("fork").Process(target=_logged, args=(step.work, log))
    process.start()
    process.join(step.limit)
    if late := process.is_alive():
        process.kill()
        process.join()
    seconds = time.perf_counter() - started
    if late or process.exitcode:
        why = f"took longer than {step.limit} s" if late else f"exit status {process.exitcode}"
        return False, seconds, f"{why}; see {log}"
    try:
        return True, seconds, step.result()
    except (OSError, ValueError, LookupError) as error:
        return False, seconds, f"left no result: {error}"


def _logged(work: Callable[[], int], log: Path) -> None:
    """Do the work with what it prints in the log."""
    file = log.open("w", encoding="utf-8", buffering=1)
    for descriptor in (1, 2):  # for compiled code
        os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = file
    try:
        status = work()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:
        traceback.print_exc()
        status = 1
    file.flush()
    os._exit(status)  # no exit handlers of the parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Take all steps, print the table."""
    args = _parser().parse_args(arguments)
    args.out = Path(os.environ.get("GPU_CHECK_FROM", "."), args.out).resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    trainings = [training(args, amp) for amp in ("off", args.amp)]
    steps = [timing(args), gpu_tests(args), *trainings, equality(args)]
    results = {step.name: run(step, args.out / f"{step.name}.log") for step in steps}
    print(f"\n| step, {args.device} | | seconds | |\n|---|---|---|---|")
    for name, (passed, seconds, text) in results.items():
        print(f"| {name} | {'passed' if passed else 'FAILED'} | {seconds:.0f} | {text} |")
    return 0 if all(passed for passed, _, _ in results.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpu_check.sh", description=__doc__, epilog=_SHELL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="tiny work, to see that all runs")
    parser.add_argument("--amp", default="bf16", choices=("bf16", "fp16"))
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--out", default="output/gpu_check", help="logs; default: %(default)s")
    parser.add_argument(
        "--config",
        help="experiment to train; default: configs/quickstart.yaml, which draws its images. With "
        "configs/own_data.yaml the variable DATA names a folder of images and annotations",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value",
        help="for both trainings, as for train_net.py: train.pretrain_weights=FILE, train.num_epochs=1",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
