"""``install-detectron2``: the Detectron2 wheel into this Python, checked by its hash.

The wheel is tagged for CPython 3.10 although its Python sources run on any newer Python and on any system;
its compiled part is never needed here. It also brings a top-level package `tools`, which would shadow a
user's own, and asks for an old numpy and for a code formatter. What is installed is therefore the wheel
without these three: its list of files and its requirements say so, and `pip check` and `pip uninstall` work.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import importlib.util
import io
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..requirements import DETECTRON2_REQUIREMENT, INSTALL_COMMAND

HELP = "install Detectron2 (a hash-checked wheel) into this Python"

_DIST_INFO = "sal_detectron2-*.dist-info"
_LEFT_OUT = ("tools", "bin")
_PURE = (
    "Wheel-Version: 1.0\nGenerator: paddlex-maskrcnn\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)
_NOT_NEEDED = (
    "black",
    "dataclasses",
)  # a formatter for a tool of its own; part of Python since 3.7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="install even if it is there already")
    parser.add_argument(
        "--wheel", type=Path, metavar="FILE", help="a wheel that was brought here, not the index's"
    )


def run(arguments: argparse.Namespace) -> int:
    """Install unless a Detectron2 is there already; a build from source serves just as well.

    Raises:
        ValueError: when the wheel cannot be had, with the other ways.
    """
    site_packages = Path(sysconfig.get_path("purelib"))
    if importlib.util.find_spec("detectron2") and not arguments.force:
        tidy(site_packages)  # as an earlier version may have installed it
        print("Detectron2 is installed already")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder)
        if arguments.wheel:
            _unpack(arguments.wheel, unpacked)
        else:
            _download(unpacked)
        _move(unpacked, site_packages)
    tidy(site_packages)
    print("Detectron2 installed")
    return 0


def _download(folder: Path) -> None:
    """The wheel that the requirement file names, unpacked."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.10"]
    options += ["--require-hashes", "--target", str(folder), "-r", str(DETECTRON2_REQUIREMENT)]
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", *options]
    else:
        raise ValueError(f"this Python has no pip, and there is no uv to install with.\n{_ways()}")
    if subprocess.call(command):
        raise ValueError(f"the Detectron2 wheel could not be downloaded (see above).\n{_ways()}")


def _ways() -> str:
    named = DETECTRON2_REQUIREMENT.read_text(encoding="utf-8").splitlines()[-1].split()[0]
    return (
        "Two other ways:\n"
        f"1. bring the wheel of {named} to this machine, then {INSTALL_COMMAND} --wheel FILE\n"
        "2. build Detectron2 from source, with a compiler: pip install --no-build-isolation "
        "'git+https://github.com/facebookresearch/detectron2.git'"
    )


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            if not any(name.startswith("detectron2/") for name in names):
                raise ValueError(f"--wheel {wheel} holds no Detectron2")
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"--wheel {wheel} cannot be read as a wheel: {error}") from error


def _move(source: Path, site_packages: Path) -> None:
    for old in site_packages.glob(_DIST_INFO):
        shutil.rmtree(old)
    for item in source.iterdir():
        if item.name in _LEFT_OUT:
            continue
        target = site_packages / item.name
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(str(item), target)


def tidy(site_packages: Path) -> None:
    """Take the compiled part away, and make the wheel's papers say what is there and what it needs."""
    for info in site_packages.glob(_DIST_INFO):
        for extension in (site_packages / "detectron2").glob("_C*"):
            extension.unlink()  # built for another Python and torch: never imported, never needed
        papers = info / "METADATA"
        papers.write_text(_needed(papers.read_text(encoding="utf-8")), encoding="utf-8")
        # its tag names CPython 3.10 on Linux, for the compiled part alone; pip check compares it
        (info / "WHEEL").write_text(_PURE, encoding="utf-8")
        record = info / "RECORD"
        record.write_text(_record(info, site_packages), encoding="utf-8")


def _needed(metadata: str) -> str:
    """A wheel's METADATA with the requirements that count."""
    head, separator, text = metadata.partition("\n\n")
    return "\n".join(_needed_lines(head)) + (separator or "\n") + text


def _needed_lines(head: str) -> Iterator[str]:
    for line in head.splitlines():
        field, _, value = line.partition(": ")
        if field == "Provides-Extra":
            continue
        if field == "Requires-Dist":
            name = value.split(";")[0].strip(" <>=!~.0123456789,").lower()
            if "extra ==" in value or name.startswith(_NOT_NEEDED):
                continue
            # the sources run on numpy 2
            line = "Requires-Dist: numpy" if value.startswith("numpy") else line
        yield line


def _record(info: Path, site_packages: Path) -> str:
    """The list of files with their hashes, as the wheel format wants it."""
    files = [*(site_packages / "detectron2").rglob("*"), *info.iterdir()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for path in sorted(files):
        name = path.relative_to(site_packages).as_posix()
        if path.name == "RECORD":
            writer.writerow([name, "", ""])
        elif path.is_file() and "__pycache__" not in path.parts:
            digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest())
            writer.writerow([name, f"sha256={digest.rstrip(b'=').decode()}", path.stat().st_size])
    return text.getvalue()
