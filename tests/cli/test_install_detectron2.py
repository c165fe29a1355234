"""Detectron2's wheel, installed without its compiled part and with papers that are true."""

import base64
import csv
import hashlib
import zipfile

import pytest

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.cli import install_detectron2

METADATA = """Metadata-Version: 2.1
Name: sal-detectron2
Version: 0.7.2
Requires-Dist: Pillow>=7.1
Requires-Dist: numpy<2
Requires-Dist: dataclasses; python_version < "3.7"
Requires-Dist: black
Requires-Dist: omegaconf<2.4,>=2.1
Provides-Extra: all
Requires-Dist: timm; extra == "all"
Provides-Extra: dev
Requires-Dist: black==23.3.0; extra == "dev"

Detectron2 is a library.

Requires-Dist: is no header here
"""
INFO = "sal_detectron2-0.7.2.dist-info"


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "sal_detectron2-0.7.2-cp310-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("detectron2/__init__.py", "x = 1\n")
        archive.writestr("detectron2/_C.cpython-310-x86_64-linux-gnu.so", b"compiled")
        archive.writestr("tools/__init__.py", "")
        archive.writestr(f"{INFO}/METADATA", METADATA)
        archive.writestr(f"{INFO}/RECORD", "tools/__init__.py,,\n")
    return path


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site-packages, in a Python that has no Detectron2."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(install_detectron2.sysconfig, "get_path", lambda name: str(folder))
    found = install_detectron2.importlib.util.find_spec
    hidden = {"detectron2"}
    monkeypatch.setattr(
        install_detectron2.importlib.util, "find_spec",
        lambda name: None if name in hidden else found(name),
    )  # fmt: skip
    return folder


def test_a_wheel_that_was_brought_here(wheel, site, capsys):
    assert cli.main(["install-detectron2", "--wheel", str(wheel)]) == 0
    assert "Detectron2 installed" in capsys.readouterr().out
    assert sorted(path.name for path in site.iterdir()) == ["detectron2", INFO]
    assert not list(site.glob("detectron2/_C*"))
    assert "Tag: py3-none-any\n" in (site / INFO / "WHEEL").read_text()
    head, _, text = (site / INFO / "METADATA").read_text().partition("\n\n")
    wanted = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("Requires")]
    assert wanted == ["Pillow>=7.1", "numpy", "omegaconf<2.4,>=2.1"]
    assert "extra" not in head.lower()
    assert text == METADATA.partition("\n\n")[2]


def test_the_list_of_files_is_that_of_the_wheel_format(wheel, site):
    cli.main(["install-detectron2", "--wheel", str(wheel)])
    rows = {
        name: (digest, size) for name, digest, size in csv.reader((site / INFO / "RECORD").open())
    }
    assert set(rows) == {
        "detectron2/__init__.py", f"{INFO}/METADATA", f"{INFO}/RECORD", f"{INFO}/WHEEL",
    }  # fmt: skip
    assert rows[f"{INFO}/RECORD"] == ("", "")
    digest = hashlib.sha256((site / "detectron2/__init__.py").read_bytes()).digest()
    expected = "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert rows["detectron2/__init__.py"] == (expected, "6")


def test_an_earlier_installation_is_put_in_order(wheel, site, monkeypatch):
    cli.main(["install-detectron2", "--wheel", str(wheel)])
    (site / INFO / "METADATA").write_text(METADATA)
    monkeypatch.setattr(install_detectron2.importlib.util, "find_spec", lambda name: object())
    assert cli.main(["install-detectron2"]) == 0
    assert "black" not in (site / INFO / "METADATA").read_text()


def test_other_ways_when_it_cannot_be_downloaded(site, monkeypatch, capsys):
    monkeypatch.setattr(install_detectron2.subprocess, "call", lambda command: 1)
    assert cli.main(["install-detectron2"]) == 2
    message = capsys.readouterr().err
    assert "could not be downloaded" in message
    assert "sal-detectron2==0.7.2" in message
    assert "--wheel FILE" in message
    assert "from source" in message


def test_uv_where_there_is_no_pip(site, monkeypatch):
    called = []
    monkeypatch.setattr(install_detectron2.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(install_detectron2.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(install_detectron2.subprocess, "call", lambda c: called.append(c) or 1)
    assert cli.main(["install-detectron2"]) == 2
    assert called[0][:3] == ["/opt/uv", "pip", "install"]
    assert "--require-hashes" in called[0]


def test_neither_pip_nor_uv(site, monkeypatch, capsys):
    monkeypatch.setattr(install_detectron2.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(install_detectron2.shutil, "which", lambda name: None)
    assert cli.main(["install-detectron2"]) == 2
    assert "this Python has no pip" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"no archive", None])
def test_a_file_that_is_no_wheel(site, tmp_path, content, capsys):
    path = tmp_path / "x.whl"
    if content:
        path.write_bytes(content)
    assert cli.main(["install-detectron2", "--wheel", str(path)]) == 2
    assert "cannot be read as a wheel" in capsys.readouterr().err
