"""What needs a process of its own: start-up time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from .networks import SharedWeights
from .pictures import Pictures
from .record import Part, rows_of
from .rounds import forget_peak, in_own_process, peak_mib, resident_mib, timed, wait_for
from .settings import OURS, STOCK, TORCHVISION, Settings
from .training import pairs, steppers

_ROOT = Path(__file__).parents[2]

# what a script imports to train Mask R-CNN
_IMPORTS = {
    OURS: "import paddlex_maskrcnn",
    STOCK: "import detectron2.config, detectron2.engine, detectron2.modeling",
    TORCHVISION: "import torchvision.models.detection",
}
_BUILD = {
    OURS: "import paddlex_maskrcnn as pdx; pdx.det.MaskRCNN(num_classes=2)",
    STOCK: _IMPORTS[STOCK],
    TORCHVISION: _IMPORTS[TORCHVISION],
}
# torchvision's training script, which is not in its package, begins with imports as well
_HELP = {
    OURS: ["train_net.py", "--help"],
    STOCK: ["-c", "from detectron2.engine import default_argument_parser as p; "
            "p().parse_args(['--help'])"],
}  # fmt: skip
_CLOCKED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def start_up(settings: Settings) -> Part:
    """Seconds until the package is imported, and until `--help` has been printed."""
    part = Part()
    for work, statements in (("import of the package", _IMPORTS), ("import of the class", _BUILD)):
        clocked = {name: ["-c", _CLOCKED.format(code)] for name, code in statements.items()}
        clocks = {name: partial(_printed_seconds, arguments) for name, arguments in clocked.items()}
        seconds = _in_turns(clocks, settings)
        part.rows += rows_of("start-up", work, seconds, [(OURS, STOCK), (OURS, TORCHVISION)])
    helps = {name: partial(timed, partial(_python, arguments)) for name, arguments in _HELP.items()}
    part.rows += rows_of("start-up", "--help", _in_turns(helps, settings), [(OURS, STOCK)])
    return part


def _printed_seconds(arguments: list[str]) -> float:
    """What the process printed."""
    return float(_python(arguments))


def _in_turns(
    work: Mapping[str, Callable[[], float]], settings: Settings
) -> dict[str, list[float]]:
    """What each call of each contestant returns; the first round fills the file cache."""
    values: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(1 + min(settings.rounds, 3)):
        for name, measure in work.items():
            value = measure()
            if turn:
                values[name].append(value)
    return values


def peak_memory(pictures: Pictures, weights: SharedWeights, settings: Settings) -> Part:
    """Peak memory of two training steps, above what the imports take, each in its own process."""
    rounds = 1 if settings.quick else 2  # allocations repeat themselves
    peaks = {
        name: [in_own_process(memory_of, name, pictures, weights, settings) for _ in range(rounds)]
        for name in steppers(pictures, weights, settings)
    }
    work = f"training step, {settings.batch_size} images, short side {settings.size}"
    where = "GPU" if settings.device == "cuda" else "process"
    rows = rows_of(f"peak memory ({where})", work, peaks, pairs(settings), unit="MiB")
    return Part(rows)


def memory_of(name: str, pictures: Pictures, weights: SharedWeights, settings: Settings) -> float:
    """MiB of one contestant, measured in this process."""
    torch.set_num_threads(settings.threads)
    builders = steppers(pictures, weights, settings)
    before = resident_mib()
    forget_peak()
    stepper = builders[name]()
    for _ in range(2):
        stepper.step()
    wait_for(settings.device)
    if settings.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_mib() - before


def _python(arguments: list[str]) -> str:
    """The last line that a Python process printed.

    Raises:
        RuntimeError: with its messages, when it failed.
    """
    environment = {"OMP_WAIT_POLICY": "passive"} | dict(os.environ)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=_ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)[:300]} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip().rpartition("\n")[2]
