"""Downloads from a site that breaks off, forgets, changes its mind and lies."""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
import ssl
import threading
import urllib.request
from collections import namedtuple
from pathlib import Path

import pytest

from paddlex_maskrcnn.weights import download as download_module
from paddlex_maskrcnn.weights import transfer
from paddlex_maskrcnn.weights.download import download
from paddlex_maskrcnn.weights.part_file import PartFile
from paddlex_maskrcnn.weights.transfer import DownloadError, NoRoomError

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)


@pytest.fixture
def url(site):
    site.files["/w.pth"] = CONTENT
    return f"{site.address}/w.pth"


@pytest.fixture
def part(tmp_path):
    return PartFile(tmp_path / "w.pth")


def content(part):
    return part.path.read_bytes()


def test_plain(site, url, part, tmp_path):
    published = download(url, part)
    assert (published.size, published.sha256) == (len(CONTENT), None)
    assert content(part) == CONTENT
    part.finish(tmp_path / "w.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]
    assert site.agents == ["paddlex_maskrcnn"], "Python's own name is refused by some servers"


@pytest.mark.parametrize("how", ["cut", "stop"])
def test_a_broken_connection_is_continued(site, url, part, how):
    site.plan = [{how: 100_000}, {how: 50_000}]
    download(url, part)
    assert content(part) == CONTENT
    ranges = [wanted for _, wanted in site.requests]
    assert ranges[0] is None
    begins = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in ranges[1:]]
    # a reset may swallow bytes that were on their way
    assert begins == [100_000, 150_000] if how == "stop" else 0 < begins[0] <= 100_000


def test_any_number_of_breaks_as_long_as_it_gets_further(site, url, part):
    site.plan = [{"stop": 20_000}] * 12
    download(url, part)
    assert content(part) == CONTENT
    assert len(site.requests) == 13


def test_a_later_start_continues(site, url, part, monkeypatch):
    monkeypatch.setattr(download_module, "ATTEMPTS", 1)
    site.plan = [{"stop": 123_456}]
    with pytest.raises(DownloadError, match="the connection ended at 123456 of 300000 bytes"):
        download(url, part)
    assert part.size() == 123_456
    download(url, PartFile(part.path.with_suffix("")))
    assert content(part) == CONTENT
    assert site.requests[-1][1] == "bytes=123456-"


def test_a_complete_part_needs_no_request(site, url, part):
    """Killed between the last byte and the final name."""
    download(url, part)
    assert download(url, part).size == len(CONTENT)
    assert len(site.requests) == 1


def test_by_date_where_there_is_no_etag(site, url, part):
    site.etags, site.dates = False, True
    site.plan = [{"stop": 100_000}]
    download(url, part)
    assert content(part) == CONTENT
    assert site.requests[-1][1] == "bytes=100000-"


def test_from_the_start_where_nothing_tells_one_version_from_another(site, url, part):
    site.etags = False
    site.plan = [{"stop": 100_000}]
    download(url, part)
    assert content(part) == CONTENT
    assert site.requests[-1][1] is None


def test_from_the_start_with_a_weak_etag(site, url, part):
    """It does not promise the same bytes, and `If-Range` may not name it."""
    site.plan = [{"headers": {"ETag": 'W/"a"'}, "stop": 100_000}]
    download(url, part)
    assert content(part) == CONTENT
    assert site.requests[-1][1] is None


def test_from_the_start_when_range_is_ignored(site, url, part):
    site.plan = [{"stop": 100_000}, {"whole": True}]
    download(url, part)
    assert content(part) == CONTENT
    assert len(site.requests) == 2


@pytest.mark.parametrize("new", [OTHER, OTHER[:200_000], OTHER[:50_000]])
def test_from_the_start_when_the_file_was_changed(site, url, part, new):
    def change():
        site.files["/w.pth"] = new

    site.plan = [{"stop": 100_000, "then": change}]
    download(url, part)
    assert content(part) == new


@pytest.mark.parametrize(
    "lie", [{"skew": 5}, {"lies": {"ETag": '"b"'}}, {"lies": {"Content-Range": "bytes 0-1/9"}}]
)
def test_from_the_start_when_another_part_comes_than_asked_for(site, url, part, lie):
    site.plan = [{"stop": 100_000}, lie]
    download(url, part)
    assert content(part) == CONTENT
    assert site.requests[-1][1] is None


def test_from_the_start_when_the_file_became_shorter(site, url, part):
    site.plan = [{"stop": 100_000}, {"status": 416}]
    download(url, part)
    assert content(part) == CONTENT
    assert site.requests[-1][1] is None


@pytest.mark.parametrize("notes", ["", "[1]", '{"url": 1}', "no json"])
def test_a_part_without_its_notes_is_not_trusted(site, url, part, notes):
    part.path.write_bytes(OTHER[:1000])
    if notes:
        part.path.with_name("w.pth.part.json").write_text(notes)
    download(url, part)
    assert content(part) == CONTENT


def test_a_part_of_another_address_is_not_continued(site, url, part, monkeypatch):
    monkeypatch.setattr(download_module, "ATTEMPTS", 1)
    site.files["/old.pth"] = CONTENT
    site.plan = [{"stop": 1000}]
    with pytest.raises(DownloadError):
        download(f"{site.address}/old.pth", part)
    download(url, part)
    assert site.requests[-1] == ("/w.pth", None)


def test_no_length_told(site, url, part):
    """A chunked body that breaks off is noticed, and begun anew."""
    site.plan = [{"chunked": True, "stop": 1000}, {"chunked": True}]
    assert download(url, part).size is None
    assert content(part) == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(site, url, part, status):
    site.plan = [{"status": status}] * 4
    download(url, part)
    assert content(part) == CONTENT


def test_a_server_that_stays_in_trouble(site, url, part):
    site.plan = [{"status": 503}] * 9
    with pytest.raises(DownloadError, match="answers 503 Service Unavailable, 5 times"):
        download(url, part)
    assert len(site.requests) == 5


def test_pauses_grow_and_the_server_s_wish_counts(site, url, part, monkeypatch):
    slept = []
    monkeypatch.setattr(download_module, "PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(download_module.time, "sleep", slept.append)
    site.plan = [{"status": 503}] * 3 + [{"status": 503, "headers": {"Retry-After": "20"}}]
    download(url, part)
    assert slept == [1, 2, 4, 20]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(site, url, part, status):
    site.plan = [{"status": status}]
    with pytest.raises(DownloadError, match=f"the server answers {status}"):
        download(url, part)
    assert len(site.requests) == 1


def test_a_login_page_is_no_file(site, url, part):
    site.plan = [{"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>"}]
    with pytest.raises(DownloadError, match="a web page comes instead of the file"):
        download(url, part)
    assert part.size() == 0


def test_nobody_listens(site, part):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DownloadError, match="refused, 5 times"):
        download(f"http://127.0.0.1:{port}/w.pth", part)


def test_silence_ends(site, url, part, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.3)
    over = threading.Event()
    site.plan = [{"stop": 100_000, "hold": over}]
    download(url, part)
    over.set()
    assert content(part) == CONTENT
    assert len(site.requests) > 1


def test_a_wrong_certificate_is_final(url, part, monkeypatch):
    tries = []

    def refuses(self, request, timeout):
        tries.append(request)
        raise urllib.request.URLError(ssl.SSLCertVerificationError("self-signed"))

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuses)
    with pytest.raises(DownloadError, match="self-signed"):
        download(url, part)
    assert len(tries) == 1


def test_the_hash_the_hub_names_in_its_redirect(site, url, part):
    """The ETag of the storage has 64 digits too, but is another hash."""
    linked = hashlib.sha256(CONTENT).hexdigest()
    hub = {"status": 302, "headers": {"Location": url, "X-Linked-ETag": f'"{linked}"'}}
    storage = {"headers": {"ETag": f'"{"0" * 64}"'}}
    site.plan = [hub, {**storage, "stop": 100_000}, hub, storage]
    site.etags = False
    assert download(f"{site.address}/hub", part).sha256 == linked
    assert content(part) == CONTENT
    assert [path for path, _ in site.requests] == ["/hub", "/w.pth"] * 2


def test_the_range_survives_the_redirect(site, url, part):
    hub = {"status": 302, "headers": {"Location": url}}
    site.plan = [hub, {"stop": 100_000}, hub]
    download(f"{site.address}/hub", part)
    assert content(part) == CONTENT
    assert site.requests[-1] == ("/w.pth", "bytes=100000-")


def test_an_etag_that_is_no_sha256_is_none(site, url, part):
    """Small files of the hub have the 40 digits of git."""
    site.plan = [{"headers": {"X-Linked-ETag": f'"{"a" * 40}"'}}]
    assert download(url, part).sha256 is None


def test_proxies_of_the_environment(site, part, monkeypatch):
    site.files["http://weights.invalid/w.pth"] = CONTENT
    monkeypatch.setenv("http_proxy", site.address)
    monkeypatch.delenv("no_proxy", raising=False)
    download("http://weights.invalid/w.pth", part)
    assert content(part) == CONTENT


def test_no_room_is_told_beforehand(site, url, part, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(200_000))
    with pytest.raises(NoRoomError, match=r"is full; 0\.0 of 0\.3 MB are there and are kept"):
        download(url, part)
    site.plan = [{"stop": 150_000}]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(300_000))
    download(url, part)
    assert content(part) == CONTENT


def test_a_part_that_fits_is_continued_on_a_full_disk(site, url, part, monkeypatch):
    """Only what is still to come needs room."""
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(300_000 - part.size()))
    site.plan = [{"stop": 150_000}]
    download(url, part)
    assert content(part) == CONTENT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_the_disk_fills_up_meanwhile(site, url, part):
    part.path.symlink_to("/dev/full")
    with pytest.raises(NoRoomError, match="make room, or name another folder with"):
        download(url, part)


def test_a_bar_on_a_terminal_only(site, url, part, capsys, monkeypatch):
    download(url, part)
    assert capsys.readouterr().err == ""
    part.discard()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    download(url, part)
    assert "w.pth: 100%" in capsys.readouterr().err
