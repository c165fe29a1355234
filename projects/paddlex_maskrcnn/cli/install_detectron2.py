"""``install-detectron2``: the Detectron2 wheel into this Python, checked by its hash.

The wheel is tagged for CPython 3.10 although its Python sources run on any newer Python, and its
compiled extension is never needed here; pip therefore installs it with ``--target``. It also drops a
top-level package ``tools`` that belongs to nobody: removed, since it would shadow a user's own.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from ..requirements import DETECTRON2_REQUIREMENT

HELP = "install Detectron2 (a hash-checked wheel) into this Python"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="install even if it is there already")


def run(arguments: argparse.Namespace) -> int:
    """Install unless a Detectron2 is there already; a build from source serves just as well."""
    import importlib.util

    if importlib.util.find_spec("detectron2") and not arguments.force:
        print("Detectron2 is installed already")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        status = _download(Path(folder))
        if status == 0:
            _move(Path(folder), Path(sysconfig.get_path("purelib")))
            print("Detectron2 installed")
    return status


def _download(folder: Path) -> int:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--python-version", "3.10", "--require-hashes", "--target", str(folder)]
    return subprocess.call([*pip, "-r", str(DETECTRON2_REQUIREMENT)])


def _move(source: Path, site_packages: Path) -> None:
    for item in source.iterdir():
        if item.name in ("tools", "bin"):
            continue
        target = site_packages / item.name
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(str(item), target)
    for extension in (site_packages / "detectron2").glob("_C*"):
        extension.unlink()  # built for another Python and torch: never imported, never needed
