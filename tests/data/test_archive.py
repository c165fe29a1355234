"""Archives are unpacked once, all or nothing, and never write outside of their folder."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from paddlex_maskrcnn.data import archive as module
from paddlex_maskrcnn.data import archive_entries
from paddlex_maskrcnn.data.archive import as_folder, is_archive, unpack
from paddlex_maskrcnn.data.datasets.problems import DatasetError

FILES = {"set/images/a b.txt": b"picture", "set/labels/ä.txt": b"0 1 2", "set/empty.txt": b""}


def zipped(path, files=FILES, **arguments):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **arguments) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path, members, mode="w"):
    """A tar of members: (name, content) for files, (name, type, link) for others."""
    with tarfile.open(path, mode) as file:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            if isinstance(rest[0], bytes) and len(rest) == 1:
                info.size = len(rest[0])
                file.addfile(info, io.BytesIO(rest[0]))
            else:
                info.type, info.linkname = rest
                file.addfile(info)
    return path


def link_in_zip(path, name, target):
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, target)
    return path


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def refused(archive, folder, match):
    """Unpacking stops with this message and leaves nothing."""
    with pytest.raises(DatasetError, match=match) as error:
        unpack(archive, folder)
    assert str(archive) in str(error.value)
    assert not folder.exists()
    assert not list(folder.parent.glob(f".{folder.name}*"))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.tar", "w"),
        ("a.tgz", "w:gz"),
        ("a.tar.gz", "w:gz"),
        ("a.tar.bz2", "w:bz2"),
        ("a.tar.xz", "w:xz"),
    ],
)
def test_tars_of_all_compressions(tmp_path, name, mode):
    archive = tarred(tmp_path / name, FILES.items(), mode)
    assert content_of(unpack(archive, tmp_path / "out")) == FILES


def test_a_zip_is_unpacked_once(tmp_path):
    archive = zipped(tmp_path / "a.zip")
    folder = unpack(archive, tmp_path / "deep" / "out")
    assert folder == tmp_path / "deep" / "out"
    assert content_of(folder) == FILES
    (folder / "set/empty.txt").write_bytes(b"edited")
    os.utime(archive, ns=(1, 1))  # copied without its time: still the same
    assert unpack(archive, folder) == folder
    assert (folder / "set/empty.txt").read_bytes() == b"edited"


def test_another_archive_does_not_replace_what_is_there(tmp_path):
    folder = unpack(zipped(tmp_path / "a.zip"), tmp_path / "out")
    with pytest.raises(
        DatasetError, match=r"holds another 'a.zip', or an earlier state.*move or delete"
    ):
        unpack(zipped(tmp_path / "a.zip", {"other.txt": b"x"}), folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(DatasetError, match="holds something else"):
        unpack(tmp_path / "a.zip", tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["file"]
    with pytest.raises(DatasetError, match="is a file; name a folder"):
        unpack(tmp_path / "a.zip", tmp_path / "mine" / "file")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    assert content_of(unpack(zipped(tmp_path / "a.zip"), tmp_path / "out")) == FILES


@pytest.mark.parametrize(
    "name", ["../a.txt", "/etc/a.txt", "x/../../a.txt", "C:\\a.txt", "..\\a.txt"]
)
def test_names_that_lead_out(tmp_path, name):
    archive = zipped(tmp_path / "a.zip", {"good.txt": b"", name: b"bad"})
    refused(
        archive,
        tmp_path / "in" / "out",
        r"1 of its entries could write outside.*leads out of the folder",
    )
    assert not (tmp_path / "in" / "a.txt").exists()
    assert not (tmp_path / "a.txt").exists()


@pytest.mark.parametrize("target", ["../../x", "/etc/passwd", "..", "b/../../.."])
def test_links_that_lead_out(tmp_path, target):
    members = [("d/link", tarfile.SYMTYPE, target)]
    if target == "..":
        members = [("link", tarfile.SYMTYPE, target)]
    refused(tarred(tmp_path / "a.tar", members), tmp_path / "out", "is a link to")
    refused(
        link_in_zip(tmp_path / "a.zip", members[0][0], target), tmp_path / "out", "is a link to"
    )


def test_links_that_lead_out_through_others(tmp_path):
    """x/up is the folder itself, so that x/up/.. is outside although its text is not."""
    members = [("x/a", b""), ("x/up", tarfile.SYMTYPE, ".."), ("m", tarfile.SYMTYPE, "x/up/..")]
    refused(tarred(tmp_path / "a.tar", members), tmp_path / "out", "'m' is a link to 'x/up/..'")
    members.append(("m/evil", tarfile.SYMTYPE, "a"))
    refused(tarred(tmp_path / "b.tar", members), tmp_path / "out", "'m' is a link")
    assert not (tmp_path / "evil").is_symlink()


def test_nothing_is_written_through_a_link(tmp_path):
    members = [("d", tarfile.SYMTYPE, "e"), ("e/x", b"1"), ("d/y", b"2")]
    with pytest.raises(DatasetError, match="cannot be unpacked"):
        unpack(tarred(tmp_path / "a.tar", members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_inside_stay_links(tmp_path):
    members = [("d/a", b"1"), ("d/hard", tarfile.LNKTYPE, "d/a"), ("soft", tarfile.SYMTYPE, "d/a")]
    folder = unpack(tarred(tmp_path / "a.tar", members), tmp_path / "out")
    assert content_of(folder) == {"d/a": b"1", "d/hard": b"1", "soft": b"1"}
    refused(
        tarred(tmp_path / "b.tar", [("h", tarfile.LNKTYPE, "../a.tar")]), tmp_path / "no", "link to"
    )


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices(tmp_path, kind):
    refused(tarred(tmp_path / "a.tar", [("d", kind, "")]), tmp_path / "out", "is a device or pipe")


def test_sizes_are_said_before_anything_is_written(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"a": bytes(3 * 2**20)})
    monkeypatch.setattr(module, "MAX_BYTES", 10**6)
    monkeypatch.setattr(module, "_write", lambda *arguments: pytest.fail("written"))
    refused(archive, tmp_path / "out", r"a.zip' \(0.0 MB\) holds 3.1 MB or more.*at most 1.0 MB")


def test_bytes_are_counted_while_writing(tmp_path, monkeypatch):
    archive = tarred(tmp_path / "a.tgz", [("a", bytes(3 * 2**20))], "w:gz")
    monkeypatch.setattr(module, "MAX_BYTES", 10**6)
    refused(archive, tmp_path / "out", "holds 1.0 MB or more.*at most 1.0 MB are unpacked")


def test_a_full_disk(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"a": bytes(3 * 2**20)})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: os.statvfs_result, raising=True)
    usage = type("Usage", (), {"free": 10**6})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    refused(archive, tmp_path / "out", "the disk has room for 1.0 MB: make room")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.undo()
    monkeypatch.setattr(module, "_write", full)
    refused(
        archive,
        tmp_path / "out",
        "No space left on device; the 0.0 MB written so far are deleted",
    )


def test_an_interrupted_unpacking_leaves_nothing(tmp_path, monkeypatch):
    write, calls = module._write, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(module, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(zipped(tmp_path / "a.zip"), tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_too_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_entries, "MAX_ENTRIES", 2)
    refused(zipped(tmp_path / "a.zip"), tmp_path / "out", "more than 2 entries")
    refused(tarred(tmp_path / "a.tar", FILES.items()), tmp_path / "out", "more than 2 entries")


def test_only_archives_are_taken_for_some(tmp_path):
    (tmp_path / "folder.zip").mkdir()
    assert is_archive(tmp_path / "A.ZIP")
    assert is_archive(tmp_path / "b.tar.gz")
    assert not is_archive(tmp_path / "folder.zip")
    assert not is_archive(tmp_path / "a.json")


def test_an_archive_as_a_folder(tmp_path):
    archive = tarred(tmp_path / "my.set.tar.gz", FILES.items(), "w:gz")
    assert as_folder(archive, tmp_path / "w") == tmp_path / "w" / "my.set_unpacked"
    assert content_of(tmp_path / "w" / "my.set_unpacked") == FILES
    assert as_folder(tmp_path, tmp_path / "w") == tmp_path
    with pytest.raises(DatasetError, match="there is no file"):
        as_folder(tmp_path / "missing.zip")
