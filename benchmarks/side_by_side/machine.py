"""Where and with what a run was measured."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from .settings import Settings

_PACKAGES = (
    "torch", "torchvision", "sal-detectron2", "detectron2", "numpy", "opencv-python-headless",
    "pillow", "pycocotools",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]


def about(settings: Settings, command: Sequence[str]) -> dict[str, Any]:
    """Command, date, commit, machine, versions and settings of a run."""
    return {
        "command": "python benchmarks/" + " ".join(command),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": machine(settings.device),
        "versions": versions(),
        "settings": asdict(settings),
    }


def machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, cores, memory, load, and the GPU where one is measured."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
        found["cudnn"] = torch.backends.cudnn.version()
    return found


def processor() -> str:
    """As /proc/cpuinfo names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Of Python and of what takes part; only what is installed."""
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str:
    """What git says; empty where there is no git or no repository."""
    command = ["git", "--no-optional-locks", "-C", str(_ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
