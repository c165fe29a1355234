"""The cache folder: one download, files by hand, offline, damage, several processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from paddlex_maskrcnn.weights.cache import FOLDER_VARIABLE, fetch
from paddlex_maskrcnn.weights.catalogue import CatalogueEntry
from paddlex_maskrcnn.weights.folder import OFFLINE_VARIABLES, offline_variable, weights_folder
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
forks = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes begin anew here"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    for name in (*OFFLINE_VARIABLES, "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "weights"


@pytest.fixture
def entry_of(site, folder):
    """Makes the row of a file the site has."""

    def build(**fields):
        site.files["/w.pth"] = CONTENT
        fields = {"url": f"{site.address}/w.pth", "licence": "MIT", **fields}
        return CatalogueEntry("our w", file_name="w.pth", input_format=IMAGENET_RGB, **fields)

    return build


def by_hand(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "w.pth").write_bytes(content)


def test_downloaded_once(site, folder, entry_of):
    entry = entry_of(hash_prefix=SHA256[:8])
    path = fetch(entry)
    assert path == folder / "w.pth"
    assert path.read_bytes() == CONTENT
    assert fetch(entry) == path
    assert len(site.requests) == 1
    left = {one.name for one in folder.iterdir()}
    assert left <= {"w.pth", "w.pth.sha256", "w.pth.lock"}


@pytest.mark.parametrize(
    "right", [{"hash_prefix": SHA256[:8]}, {"hash_prefix": SHA256}, {"md5_prefix": MD5[:6]}, {}]
)
def test_a_file_put_there_by_hand_is_used(site, folder, entry_of, right):
    by_hand(folder, CONTENT)
    assert fetch(entry_of(**right)).read_bytes() == CONTENT
    assert site.requests == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hash_prefix": SHA256[:8]}, f"sha256 begins with .*, its name says {SHA256[:8]}; delete"),
        ({"md5_prefix": MD5[:6]}, f"md5 begins with .*, its name says {MD5[:6]}; delete"),
    ],
)
def test_a_wrong_file_put_there_by_hand_is_refused_and_kept(folder, entry_of, wrong, message):
    by_hand(folder, OTHER)
    with pytest.raises(ValueError, match=rf"w\.pth is damaged: its {message}"):
        fetch(entry_of(**wrong))
    assert (folder / "w.pth").read_bytes() == OTHER


def test_a_folder_that_cannot_be_written_to_is_enough_for_reading(folder, entry_of):
    by_hand(folder, CONTENT)
    folder.chmod(0o500)
    try:
        assert fetch(entry_of(hash_prefix=SHA256[:8])).read_bytes() == CONTENT
        assert [path.name for path in folder.iterdir()] == ["w.pth"]
    finally:
        folder.chmod(0o700)


def test_a_truncated_download_is_refused(site, folder, entry_of):
    """The server says the half is all: only the hash can tell. It is asked twice."""
    entry = entry_of(hash_prefix=SHA256[:8])
    site.files["/w.pth"] = CONTENT[:150_000]
    with pytest.raises(ValueError, match="what came is damaged and was removed") as caught:
        fetch(entry)
    assert f"its name says {SHA256[:8]}" in str(caught.value)
    assert len(site.requests) == 2
    assert {one.name for one in folder.iterdir()} <= {"w.pth.lock"}


def test_what_comes_damaged_is_fetched_anew(site, entry_of):
    """The proof of the pudding for a download that was continued with bytes gone bad."""
    entry = entry_of(hash_prefix=SHA256[:8])
    tag = {"ETag": '"same"'}
    site.files["/w.pth"] = OTHER

    def repair():
        site.files["/w.pth"] = CONTENT

    site.plan = [{"headers": tag, "stop": 1000, "then": repair}, {"headers": tag}]
    assert fetch(entry).read_bytes() == CONTENT
    assert [wanted for _, wanted in site.requests] == [None, "bytes=1000-", None]


@pytest.mark.parametrize("content", [CONTENT, OTHER])
def test_the_hub_s_hash_is_verified(site, folder, entry_of, content):
    """A row without a hash, but its publisher names one when it is downloaded."""
    entry = entry_of()
    site.files["/w.pth"] = content
    site.plan = [{"headers": {"X-Linked-ETag": f'"{SHA256}"'}}] * 2
    if content == CONTENT:
        assert fetch(entry).is_file()
    else:
        with pytest.raises(ValueError, match=f"its publisher says {SHA256[:8]}"):
            fetch(entry)


def test_damage_after_the_download_is_noticed(folder, entry_of):
    """Also where no publisher gives a hash; the file written beside is what sha256sum checks."""
    entry = entry_of()
    path = fetch(entry)
    assert (folder / "w.pth.sha256").read_text() == f"{SHA256}  w.pth\n"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=rf"w\.pth\.sha256 says {SHA256[:8]}; delete it"):
        fetch(entry)


def test_a_hash_written_down_by_hand_counts(folder, entry_of):
    folder.mkdir()
    (folder / "w.pth.sha256").write_text(f"{hashlib.sha256(OTHER).hexdigest()}  w.pth\n")
    with pytest.raises(ValueError, match=r"w\.pth\.sha256 if the publisher has a new version"):
        fetch(entry_of())
    (folder / "w.pth.sha256").write_text(f"{SHA256.upper()} *w.pth\n")
    assert fetch(entry_of()).is_file()


def test_unverified_is_said(folder, entry_of, caplog):
    caplog.set_level("INFO")
    fetch(entry_of())
    assert "not verified: its publisher gives no hash" in caplog.text
    caplog.clear()
    (folder / "w.pth.sha256").unlink()
    fetch(entry_of())
    assert "w.pth is not verified: its publisher gives no hash" in caplog.text


@pytest.mark.parametrize("variable", OFFLINE_VARIABLES)
def test_offline(site, folder, entry_of, monkeypatch, variable):
    entry = entry_of(hash_prefix=SHA256[:8])
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ValueError, match=f"our w is not there and {variable}=1 forbids") as caught:
        fetch(entry)
    for what in (entry.url, str(folder / "w.pth"), FOLDER_VARIABLE, SHA256[:8]):
        assert what in str(caught.value)
    assert not folder.exists()
    by_hand(folder, CONTENT)
    assert fetch(entry).read_bytes() == CONTENT
    assert site.requests == []


@pytest.mark.parametrize(
    ("value", "expected"), [("", False), ("0", False), ("False", False), ("1", True), ("YES", True)]
)
def test_values_of_the_offline_variable(folder, monkeypatch, value, expected):
    monkeypatch.setenv("PADDLEX_MASKRCNN_OFFLINE", value)
    assert bool(offline_variable()) == expected


def test_the_folder_without_a_variable_is_torch_s(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "hub" / "checkpoints"
    monkeypatch.setenv(FOLDER_VARIABLE, "~/w")
    assert weights_folder() == Path.home() / "w"


def test_a_download_that_fails_says_what_to_do(site, folder, entry_of):
    entry = entry_of(md5_prefix=MD5[:6])
    site.files.clear()
    with pytest.raises(ValueError, match="our w could not be downloaded from") as caught:
        fetch(entry)
    for what in ("404 Not Found", entry.url, str(folder / "w.pth"), f"md5 {MD5[:6]}", "null"):
        assert what in str(caught.value)


def test_a_mirror_of_the_hub(site, entry_of, monkeypatch):
    site.files["/timm/x/resolve/main/model.safetensors"] = CONTENT
    monkeypatch.setenv("HF_ENDPOINT", f"{site.address}/")
    fetch(entry_of(url="https://huggingface.co/timm/x/resolve/main/model.safetensors"))
    assert site.requests == [("/timm/x/resolve/main/model.safetensors", None)]


def test_a_mirror_that_is_no_address(entry_of, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "mirror.invalid")
    entry = entry_of(url="https://huggingface.co/timm/x/resolve/main/model.safetensors")
    with pytest.raises(ValueError, match=r"from mirror\.invalid/timm/x.*unknown url type"):
        fetch(entry)


def test_a_folder_that_cannot_be_made(folder, entry_of):
    folder.write_text("a file")
    with pytest.raises(ValueError, match=f"could not be written into {folder}.*{FOLDER_VARIABLE}"):
        fetch(entry_of())


@pytest.mark.parametrize("dangling", [True, False])
def test_what_is_in_the_way_stays(folder, entry_of, dangling):
    folder.mkdir()
    path = folder / "w.pth"
    path.symlink_to(folder / "gone") if dangling else path.mkdir()
    with pytest.raises(ValueError, match="is in the way of our w: it is not a file; remove it"):
        fetch(entry_of())
    assert os.path.lexists(path)


def test_no_room(entry_of, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 0}))
    with pytest.raises(ValueError, match=r"our w could not be downloaded: the disk of .* is full"):
        fetch(entry_of())


@forks
def test_processes_that_start_together_download_once(site, folder, entry_of, caplog):
    """Four ranks of one machine; the site is slow enough for all of them to find nothing."""
    entry = entry_of(hash_prefix=SHA256[:8])
    slow = threading.Event()
    site.plan = [{"hold": slow, "stop": 200_000}]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=child, args=(entry,)) for _ in range(4)]
    for process in processes:
        process.start()
    wait_for(lambda: site.requests)
    time.sleep(0.2)  # the others wait meanwhile
    slow.set()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 4
    assert [wanted for _, wanted in site.requests] == [None, "bytes=200000-"]


@forks
@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_process_killed_while_downloading(site, folder, entry_of):
    """Its lock is free, what it got is continued."""
    entry = entry_of(hash_prefix=SHA256[:8])
    over = threading.Event()
    site.plan = [{"hold": over, "stop": 200_000}]
    process = multiprocessing.get_context("fork").Process(target=child, args=(entry,))
    process.start()
    part = folder / "w.pth.part"
    wait_for(lambda: part.is_file() and part.stat().st_size > 100_000)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    over.set()
    kept = part.stat().st_size
    assert fetch(entry).read_bytes() == CONTENT
    assert site.requests[-1][1] == f"bytes={kept}-"


def child(entry):
    """Ends with status 0 if the file is right."""
    os._exit(0 if fetch(entry).read_bytes() == CONTENT else 1)


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
