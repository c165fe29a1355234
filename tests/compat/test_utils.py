"""`pdx.utils`: archives by address and by path."""

import io
import tarfile
import zipfile

import pytest

import paddlex_maskrcnn as pdx
from support.flaky_site import Site

FILES = {"set/JPEGImages/a.jpg": b"a picture", "set/train.json": b"{}", "labels.txt": b"dog\n"}


def archive_of(suffix, files=FILES):
    """The bytes of an archive."""
    buffer = io.BytesIO()
    if suffix == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w" if suffix == "tar" else "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


def content_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("suffix", ["tar", "tgz", "tar.gz", "zip"])
def test_downloaded_and_unpacked_once(site, tmp_path, monkeypatch, suffix):
    site.files[f"/data/set.{suffix}"] = archive_of(suffix)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        pdx.utils.download_and_decompress(f"{site.address}/data/set.{suffix}", path="./")
        assert content_of(tmp_path) == FILES
    assert len(site.requests) == 1
    assert (tmp_path / f"set.{suffix}").is_file()  # stays, as PaddleX left it


def test_a_download_that_is_cut_off_goes_on(site, tmp_path):
    content = archive_of("tar", {**FILES, "large": bytes(200_000)})
    site.files["/set.tar?token=x"] = content
    site.plan = [{"cut": 100_000}]
    from paddlex_maskrcnn.weights import download

    pause, download.PAUSE_SECONDS = download.PAUSE_SECONDS, 0.01
    try:
        pdx.utils.download_and_decompress(f"{site.address}/set.tar?token=x", str(tmp_path))
    finally:
        download.PAUSE_SECONDS = pause
    assert content_of(tmp_path) == FILES
    assert len(site.requests) == 2


@pytest.mark.parametrize("as_url", [True, False])
def test_a_file_of_this_machine(tmp_path, as_url):
    archive = tmp_path / "my set.zip"
    archive.write_bytes(archive_of("zip"))
    target = tmp_path / "data"
    pdx.utils.download_and_decompress(archive.as_uri() if as_url else archive, target)
    assert content_of(target) == FILES
    assert not (target / "my set.zip").exists()


def test_nothing_is_replaced(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(archive_of("zip"))
    (tmp_path / "labels.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"labels\.txt is there already; move it away"):
        pdx.utils.decompress(archive)
    assert {path.name for path in tmp_path.iterdir()} == {"set.zip", "labels.txt"}


def test_an_archive_that_leads_out(tmp_path):
    archive = tmp_path / "in" / "set.tar"
    archive.parent.mkdir()
    archive.write_bytes(archive_of("tar", {"ok.txt": b"", "../outside.txt": b"bad"}))
    with pytest.raises(ValueError, match=r"leads out of the folder"):
        pdx.utils.decompress(archive)
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "set.tar"}


@pytest.mark.parametrize(
    ("variable", "reason"),
    [(None, "refused|Connection"), ("1", "PADDLEX_MASKRCNN_OFFLINE=1 forbids downloads")],
)
def test_without_a_network(tmp_path, monkeypatch, variable, reason):
    """One error, which says what to do."""
    from paddlex_maskrcnn.weights import download

    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    if variable:
        monkeypatch.setenv("PADDLEX_MASKRCNN_OFFLINE", variable)
    site = Site()
    site.close()  # nobody answers at its address
    with pytest.raises(ValueError, match=reason) as raised:
        pdx.utils.download_and_decompress(f"{site.address}/set.tar.gz", tmp_path)
    assert f"save it as {tmp_path / 'set.tar.gz'}" in str(raised.value)


def test_what_is_no_archive(site, tmp_path):
    site.files["/set.tar.gz"] = b"not at all" * 100
    with pytest.raises(ValueError, match=r"set\.tar\.gz' is damaged"):
        pdx.utils.download_and_decompress(f"{site.address}/set.tar.gz", tmp_path)
    with pytest.raises(ValueError, match="the address of an archive is needed"):
        pdx.utils.download_and_decompress("https://example.org/", tmp_path)


def test_env_info():
    assert pdx.env_info["place"] in ("cpu", "gpu")
    assert pdx.env_info["num"] >= 1
