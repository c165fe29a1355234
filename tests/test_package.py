"""The package as it is installed: a wheel, its command, its configs, what it asks for."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command, cwd, **environment):
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=600,
        env={**os.environ, **environment},
    )  # fmt: skip


def version_of(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "0"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package installed from its wheel, and the wheel."""
    # not imported: setuptools would replace distutils in this process
    if int(version_of("setuptools").split(".")[0]) < 77 or version_of("pip") == "0":
        pytest.skip("building a wheel needs pip and setuptools >= 77")
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("configs", "projects"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    quiet = ("--no-deps", "--no-build-isolation", "--quiet")
    done = run(*pip, "wheel", *quiet, "-w", folder / "wheels", source, cwd=folder)
    assert done.returncode == 0, done.stderr
    [wheel] = (folder / "wheels").glob("*.whl")
    done = run(
        *pip, "install", "--no-deps", "--quiet", "--target", folder / "site", wheel, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "site", wheel


def test_what_the_wheel_holds(installed):
    names = zipfile.ZipFile(installed[1]).namelist()
    configs = {path.name for path in (ROOT / "configs").glob("*.yaml")}
    assert configs
    assert {f"paddlex_maskrcnn/configs/{name}" for name in configs} <= set(names)
    for name in ("py.typed", "detectron2-requirement.txt", "report/html/report.css"):
        if (ROOT / "projects/paddlex_maskrcnn" / name).is_file():
            assert f"paddlex_maskrcnn/{name}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2, f"nothing but the package and its papers: {tops}"
    [distribution] = importlib.metadata.distributions(path=[str(installed[0])])
    assert "Programming Language :: Python :: 3.13" in distribution.metadata.get_all("Classifier")


def test_the_quickstart_from_an_empty_folder(installed, tmp_path):
    site, _ = installed
    command = site / "bin" / "paddlex-maskrcnn"
    done = run(
        command,
        "train",
        "--config",
        "quickstart",
        "--dry-run",
        cwd=tmp_path,
        PYTHONPATH=str(site),
    )
    assert done.returncode == 0, done.stderr
    assert "first loss" in done.stdout
    where = run(
        sys.executable, "-c", "import paddlex_maskrcnn; print(paddlex_maskrcnn.__file__)",
        cwd=tmp_path, PYTHONPATH=str(site),
    )  # fmt: skip
    assert str(site) in where.stdout, "another installation was tested"


def test_the_environment_is_consistent():
    """Detectron2's wheel asks for an old numpy and a code formatter until install-detectron2 tidies it."""
    if version_of("pip") == "0":
        pytest.skip("pip check needs pip")
    done = run(sys.executable, "-m", "pip", "check", cwd=ROOT)
    mine = [
        line for line in done.stdout.splitlines() if line.startswith(("sal-detectron2", "paddlex"))
    ]
    assert mine == []
