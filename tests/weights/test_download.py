"""The cache folder and its downloads: files by hand, several processes, and sites that break off or lie."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path
from unittest.mock import Mock

import pytest

from paddlex_maskrcnn.weights import download
from paddlex_maskrcnn.weights.download import (
    FOLDER_VARIABLE,
    OFFLINE_VARIABLES,
    fetch,
    weights_folder,
)
from support.flaky_site import CONTENT

OTHER = random.Random(1).randbytes(300_000)
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
HUB_PATH = "/timm/x/resolve/main/model.safetensors"
forks = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes begin anew here"
)


def put(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "w.pth").write_bytes(content)


def part_size(folder):
    return (folder / "w.pth.part").stat().st_size


def ranges(site):
    return [wanted for _, wanted in site.requests]


# files that are there


def test_downloaded_once(site, folder, entry_of):
    entry = entry_of(hash_prefix=SHA256[:8])
    path = fetch(entry)
    assert path == folder / "w.pth"
    assert path.read_bytes() == CONTENT
    assert fetch(entry) == path
    assert len(site.requests) == 1
    assert site.agents == ["paddlex_maskrcnn"], "Python's own name is refused by some servers"
    left = {file.name for file in folder.iterdir()}
    assert left <= {"w.pth", "w.pth.sha256", "w.pth.lock"}


@pytest.mark.parametrize(
    "right", [{"hash_prefix": SHA256[:8]}, {"hash_prefix": SHA256}, {"md5_prefix": MD5[:6]}, {}]
)
def test_a_file_put_there_by_hand_is_used(site, folder, entry_of, right):
    put(folder, CONTENT)
    assert fetch(entry_of(**right)).read_bytes() == CONTENT
    assert site.requests == []


@pytest.mark.parametrize(
    ("field", "prefix", "kind"),
    [("hash_prefix", SHA256[:8], "sha256"), ("md5_prefix", MD5[:6], "md5")],
)
def test_a_wrong_file_put_there_by_hand_stays(folder, entry_of, field, prefix, kind):
    put(folder, OTHER)
    message = rf"w\.pth is damaged: its {kind} begins with .*, its name says {prefix}; delete it"
    with pytest.raises(ValueError, match=message):
        fetch(entry_of(**{field: prefix}))
    assert (folder / "w.pth").read_bytes() == OTHER


def test_a_folder_that_cannot_be_written_to_is_enough_for_reading(folder, entry_of):
    put(folder, CONTENT)
    folder.chmod(0o500)
    try:
        assert fetch(entry_of(hash_prefix=SHA256[:8])).read_bytes() == CONTENT
        assert [path.name for path in folder.iterdir()] == ["w.pth"]
    finally:
        folder.chmod(0o700)


def test_the_folder_without_a_variable_is_torch_s(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "hub" / "checkpoints"
    monkeypatch.setenv(FOLDER_VARIABLE, "~/w")
    assert weights_folder() == Path.home() / "w"


# files that cannot be had


@pytest.mark.parametrize("variable", OFFLINE_VARIABLES)
def test_offline(site, folder, entry_of, monkeypatch, variable):
    entry = entry_of(hash_prefix=SHA256[:8])
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ValueError, match=f"our w is not there and {variable}=1 forbids") as caught:
        fetch(entry)
    for what in (entry.url, str(folder / "w.pth"), FOLDER_VARIABLE, SHA256[:8]):
        assert what in str(caught.value)
    assert not folder.exists()
    put(folder, CONTENT)
    assert fetch(entry).read_bytes() == CONTENT
    assert site.requests == []


@pytest.mark.parametrize(
    ("value", "forbidden"), [("", 0), ("0", 0), ("False", 0), ("1", 1), ("YES", 1)]
)
def test_values_of_the_offline_variable(site, entry, monkeypatch, value, forbidden):
    monkeypatch.setenv("PADDLEX_MASKRCNN_OFFLINE", value)
    if forbidden:
        with pytest.raises(ValueError, match="forbids to download"):
            fetch(entry)
    else:
        fetch(entry)
    assert len(site.requests) == 1 - forbidden


def test_a_folder_that_cannot_be_made(folder, entry):
    folder.write_text("a file")
    with pytest.raises(ValueError, match=f"could not be written into {folder}.*{FOLDER_VARIABLE}"):
        fetch(entry)


@pytest.mark.parametrize("dangling", [True, False])
def test_what_is_in_the_way_stays(folder, entry, dangling):
    folder.mkdir()
    path = folder / "w.pth"
    path.symlink_to(folder / "gone") if dangling else path.mkdir()
    with pytest.raises(ValueError, match="is in the way of our w: it is not a file; remove it"):
        fetch(entry)
    assert os.path.lexists(path)


def test_no_room_is_noticed_beforehand(site, folder, entry, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(200_000))
    message = r"our w could not be downloaded: .* is full; 0\.0 of 0\.3 MB are there and are kept"
    with pytest.raises(ValueError, match=message):
        fetch(entry)
    # only what is still to come needs room
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(300_000 - part_size(folder)))
    site.plan = [{"stop": 150_000}]
    assert fetch(entry).read_bytes() == CONTENT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_the_disk_fills_up_meanwhile(folder, entry):
    folder.mkdir()
    (folder / "w.pth.part").symlink_to("/dev/full")
    with pytest.raises(ValueError, match="make room, or name another folder with"):
        fetch(entry)


# hashes


def test_a_truncated_download_is_refused(site, folder, entry_of):
    """The server says the half is all: only the hash can tell. It is asked twice."""
    entry = entry_of(hash_prefix=SHA256[:8])
    site.files["/w.pth"] = CONTENT[:150_000]
    with pytest.raises(ValueError, match="what came is damaged and was removed") as caught:
        fetch(entry)
    assert f"its name says {SHA256[:8]}" in str(caught.value)
    assert len(site.requests) == 2
    assert {file.name for file in folder.iterdir()} <= {"w.pth.lock"}


def test_what_comes_damaged_is_fetched_anew(site, entry_of):
    """A download that was continued with bytes of another file, although the server said the same."""
    entry = entry_of(hash_prefix=SHA256[:8])
    tag = {"ETag": '"same"'}
    site.files["/w.pth"] = OTHER

    def repair():
        site.files["/w.pth"] = CONTENT

    site.plan = [{"headers": tag, "stop": 1000, "then": repair}, {"headers": tag}]
    assert fetch(entry).read_bytes() == CONTENT
    assert ranges(site) == [None, "bytes=1000-", None]


@pytest.mark.parametrize("content", [CONTENT, OTHER], ids=["right", "wrong"])
def test_the_hub_s_hash_is_verified(site, entry_of, content):
    """It is in the redirect, also when a try is continued; the storage's ETag is another hash."""
    entry, target = entry_of(url=f"{site.address}/hub"), f"{site.address}/w.pth"
    site.files["/w.pth"], site.etags = content, False
    hub = {"status": 302, "headers": {"Location": target, "X-Linked-ETag": f'"{SHA256}"'}}
    storage = {"headers": {"ETag": f'"{"0" * 64}"'}}
    site.plan = [hub, {**storage, "stop": 100_000}, hub, storage, hub, storage]
    if content == OTHER:
        with pytest.raises(ValueError, match=f"its publisher says {SHA256[:8]}"):
            fetch(entry)
    else:
        assert fetch(entry).read_bytes() == CONTENT
        assert [path for path, _ in site.requests] == ["/hub", "/w.pth"] * 2
        assert ranges(site) == [None, None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.parametrize("digits", [64, 40], ids=["sha256", "git"])
def test_small_files_of_the_hub_have_git_s_digits_there(site, entry, digits, caplog):
    caplog.set_level("INFO")
    site.plan = [{"headers": {"X-Linked-ETag": f'"{SHA256[:digits]}"'}}]
    fetch(entry)
    assert ("as published" in caplog.text) == (digits == 64)


def test_damage_after_the_download_is_noticed(folder, entry):
    """Also where no publisher gives a hash; the file written beside is what sha256sum checks."""
    path = fetch(entry)
    assert (folder / "w.pth.sha256").read_text() == f"{SHA256}  w.pth\n"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=rf"w\.pth\.sha256 says {SHA256[:8]}; delete it"):
        fetch(entry)


def test_a_hash_written_down_by_hand_counts(folder, entry):
    folder.mkdir()
    (folder / "w.pth.sha256").write_text(f"{hashlib.sha256(OTHER).hexdigest()}  w.pth\n")
    with pytest.raises(ValueError, match=r"w\.pth\.sha256 if the publisher has a new version"):
        fetch(entry)
    (folder / "w.pth.sha256").write_text(f"{SHA256.upper()} *w.pth\n")
    assert fetch(entry).is_file()


def test_unverified_is_said(folder, entry, caplog):
    caplog.set_level("INFO")
    fetch(entry)
    assert "not verified: its publisher gives no hash" in caplog.text
    caplog.clear()
    (folder / "w.pth.sha256").unlink()
    fetch(entry)
    assert "w.pth is not verified: its publisher gives no hash" in caplog.text


# broken off and continued


@pytest.mark.parametrize("how", ["cut", "stop"])
def test_a_broken_connection_is_continued(site, entry, how):
    site.plan = [{how: 100_000}, {how: 50_000}]
    assert fetch(entry).read_bytes() == CONTENT
    assert ranges(site)[0] is None
    begins = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in ranges(site)[1:]]
    # a reset may swallow bytes that were on their way
    assert begins == [100_000, 150_000] if how == "stop" else 0 < begins[0] <= 100_000


def test_any_number_of_breaks_as_long_as_it_gets_further(site, entry):
    site.plan = [{"stop": 20_000}] * 12
    assert fetch(entry).read_bytes() == CONTENT
    assert len(site.requests) == 13


def test_a_later_start_continues(site, folder, entry, one_attempt):
    site.plan = [{"stop": 123_456}]
    with pytest.raises(ValueError, match="the connection ended at 123456 of 300000 bytes"):
        fetch(entry)
    assert part_size(folder) == 123_456
    assert fetch(entry).read_bytes() == CONTENT
    assert ranges(site) == [None, "bytes=123456-"]


def test_a_complete_part_needs_no_request(site, folder, entry, monkeypatch):
    """Killed between the last byte and the final name."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", Mock(side_effect=OSError(errno.EIO, "killed")))
        with pytest.raises(ValueError, match=r"could not be written into .*killed"):
            fetch(entry)
    assert part_size(folder) == len(CONTENT)
    assert fetch(entry).read_bytes() == CONTENT
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("dates", "headers", "second"),
    [(True, {}, "bytes=100000-"), (False, {}, None), (False, {"ETag": 'W/"a"'}, None)],
    ids=["date", "nothing", "weak"],
)
def test_without_an_etag(site, entry, dates, headers, second):
    """By date, else from the start; a weak ETag promises nothing, and `If-Range` may not name it."""
    site.etags, site.dates = False, dates
    site.plan = [{"headers": headers, "stop": 100_000}]
    assert fetch(entry).read_bytes() == CONTENT
    assert ranges(site) == [None, second]


@pytest.mark.parametrize("new", [OTHER, OTHER[:200_000], OTHER[:50_000]])
def test_from_the_start_when_the_file_was_changed(site, entry, new):
    def change():
        site.files["/w.pth"] = new

    site.plan = [{"stop": 100_000, "then": change}]
    assert fetch(entry).read_bytes() == new


@pytest.mark.parametrize(
    "lie",
    [
        {"whole": True},
        {"skew": 5},
        {"lies": {"ETag": '"b"'}},
        {"lies": {"Content-Range": "bytes 0-1/9"}},
        {"status": 416},
    ],
)
def test_from_the_start_when_another_part_comes_than_asked_for(site, entry, lie):
    """All of it where Range is ignored; otherwise it is asked for again."""
    site.plan = [{"stop": 100_000}, lie]
    assert fetch(entry).read_bytes() == CONTENT
    again = [] if "whole" in lie else [None]
    assert ranges(site) == [None, "bytes=100000-", *again]


@pytest.mark.parametrize("notes", ["", "[1]", '{"url": 1}', "no json"])
def test_a_part_without_its_notes_is_not_trusted(folder, entry, notes):
    folder.mkdir()
    (folder / "w.pth.part").write_bytes(OTHER[:1000])
    if notes:
        (folder / "w.pth.part.json").write_text(notes)
    assert fetch(entry).read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_continued(site, folder, entry_of, one_attempt):
    site.files["/old.pth"] = CONTENT
    site.plan = [{"stop": 1000}]
    with pytest.raises(ValueError, match="the connection ended"):
        fetch(entry_of(url=f"{site.address}/old.pth"))
    assert part_size(folder) == 1000
    assert fetch(entry_of()).read_bytes() == CONTENT
    assert site.requests[-1] == ("/w.pth", None)


def test_a_body_of_no_announced_length(site, entry):
    """A chunked body that breaks off is noticed, and begun anew."""
    site.plan = [{"chunked": True, "stop": 1000}, {"chunked": True}]
    assert fetch(entry).read_bytes() == CONTENT
    assert ranges(site) == [None, None]


def test_silence_ends(site, entry, monkeypatch, caplog):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.3)
    over = threading.Event()
    site.plan = [{"stop": 100_000, "hold": over}]
    assert fetch(entry).read_bytes() == CONTENT
    over.set()
    assert len(site.requests) > 1
    assert "w.pth: timed out; trying again" in caplog.text


# what the server answers


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("times", [4, 5])
def test_a_server_in_trouble_is_asked_five_times(site, entry, status, times):
    site.plan = [{"status": status}] * times
    if times == 4:
        assert fetch(entry).read_bytes() == CONTENT
    else:
        with pytest.raises(ValueError, match=rf"the server answers {status} .*, 5 times"):
            fetch(entry)
    assert len(site.requests) == 5


def test_pauses_grow_and_the_server_s_wish_counts(site, entry, monkeypatch):
    slept = []
    monkeypatch.setattr(download, "PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(download.time, "sleep", slept.append)
    site.plan = [{"status": 503}] * 3 + [{"status": 503, "headers": {"Retry-After": "20"}}]
    fetch(entry)
    assert slept == [1, 2, 4, 20]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final_and_says_what_to_do(site, folder, entry_of, status):
    entry = entry_of(md5_prefix=MD5[:6])
    site.plan = [{"status": status}]
    message = rf"our w could not be downloaded from {entry.url} \(the server answers {status}"
    with pytest.raises(ValueError, match=message) as caught:
        fetch(entry)
    for what in (f"Get {entry.url}", str(folder / "w.pth"), f"md5 {MD5[:6]}", "null"):
        assert what in str(caught.value)
    assert len(site.requests) == 1


def test_a_login_page_is_no_file(site, folder, entry):
    site.plan = [{"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>"}]
    with pytest.raises(ValueError, match="a web page comes instead of the file"):
        fetch(entry)
    assert {file.name for file in folder.iterdir()} <= {"w.pth.lock"}


def test_nobody_listens(entry_of):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ValueError, match="refused, 5 times"):
        fetch(entry_of(url=f"http://127.0.0.1:{port}/w.pth"))


@pytest.mark.parametrize(
    "error",
    [ssl.SSLCertVerificationError("self-signed"), socket.gaierror(socket.EAI_NONAME, "no name")],
)
def test_a_wrong_certificate_or_name_is_final(entry, monkeypatch, error):
    opened = Mock(side_effect=urllib.error.URLError(error))
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)
    with pytest.raises(ValueError, match=r"self-signed|no name"):
        fetch(entry)
    assert opened.call_count == 1


def test_proxies_of_the_environment(site, entry_of, monkeypatch):
    site.files["http://weights.invalid/w.pth"] = CONTENT
    monkeypatch.setenv("http_proxy", site.address)
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch(entry_of(url="http://weights.invalid/w.pth")).read_bytes() == CONTENT


def test_a_mirror_of_the_hub(site, entry_of, monkeypatch):
    site.files[HUB_PATH] = CONTENT
    monkeypatch.setenv("HF_ENDPOINT", f"{site.address}/")
    fetch(entry_of(url=f"https://huggingface.co{HUB_PATH}"))
    assert site.requests == [(HUB_PATH, None)]


def test_a_mirror_that_is_no_address(entry_of, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "mirror.invalid")
    with pytest.raises(ValueError, match=r"from mirror\.invalid/timm/x.*unknown url type"):
        fetch(entry_of(url=f"https://huggingface.co{HUB_PATH}"))


def test_a_bar_on_a_terminal_only(folder, entry, capsys, monkeypatch):
    fetch(entry).unlink()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fetch(entry)
    assert "w.pth: 100%" in capsys.readouterr().err


# several processes


@forks
def test_processes_that_start_together_download_once(site, entry_of):
    """Four ranks of a machine; the site is slow enough for all of them to see no file."""
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
    assert ranges(site) == [None, "bytes=200000-"]


@forks
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
    size = part_size(folder)
    assert fetch(entry).read_bytes() == CONTENT
    assert ranges(site)[-1] == f"bytes={size}-"


def child(entry):
    """Ends with status 0 if the file is right."""
    os._exit(0 if fetch(entry).read_bytes() == CONTENT else 1)


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
