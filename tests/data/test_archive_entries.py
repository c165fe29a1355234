"""What the entries of an archive are called, and files that are no archives or damaged ones."""

import io
import tarfile
import zipfile

import pytest

from paddlex_maskrcnn.data.archive import unpack
from paddlex_maskrcnn.data.archive_entries import entries_of
from paddlex_maskrcnn.data.datasets.problems import DatasetError


def names_in(archive):
    return [entry.name for entry in entries_of(archive, lambda size: None)]


def raw_zip(path, names):
    """A zip whose names are these bytes, with no mark of their encoding."""
    plain = [chr(ord("A") + k) * len(name) for k, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as file:
        for name in plain:
            file.writestr(name, b"")
    data = path.read_bytes()
    for name, placeholder in zip(names, plain, strict=True):
        data = data.replace(placeholder.encode(), name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "cp437"])
def test_names_without_a_mark(tmp_path, encoding, caplog):
    words = (
        ["Größe", "é"]
        if encoding == "cp437"
        else ["图片", "标注", "é"][: 2 + (encoding == "utf-8")]
    )
    for name in (f"{word} folder/{word}.jpg" for word in words):
        assert names_in(raw_zip(tmp_path / "a.zip", [name.encode(encoding)])) == [name]
    assert ("read as GBK" in caplog.text) == (encoding == "gbk")


def test_marked_names(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("图片/ö.jpg", b"")
    assert names_in(tmp_path / "a.zip") == ["图片/ö.jpg"]


def test_names_of_a_tar_in_gbk(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", encoding="gbk", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo("./图片/a.jpg"))
    assert names_in(tmp_path / "a.tar") == ["./图片/a.jpg"]


def test_backslashes_and_what_macos_leaves(tmp_path):
    names = [b"a\\b\\c.jpg", b"__MACOSX/a/._x.jpg", b"a/._x.jpg", b"a/.DS_Store", b"a/empty\\"]
    archive = raw_zip(tmp_path / "a.zip", names)
    assert names_in(archive) == ["a/b/c.jpg", "a/empty/"]
    assert (unpack(archive, tmp_path / "out") / "a/empty").is_dir()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Rar!\x1a\x07\x01\x00", "is a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "is a 7-Zip archive"),
        (b"<!DOCTYPE html>" + b" " * 600, "is a web page"),
        (b"", "is empty"),
        (b"hello", "is no archive"),
        (b"x" * 2000, "is damaged or incomplete"),
        (b"\x1f\x8b" + b"x" * 600, "is damaged or incomplete"),
        (b"PK\x03\x04" + b"x" * 600, "is damaged or incomplete"),
    ],
)
def test_files_that_are_no_archives(tmp_path, content, words):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_encrypted(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jpg", b"x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DatasetError, match=r"is encrypted \('a.jpg'\).*password"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_method_that_python_lacks(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jpg", b"x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[8] = 9  # deflate64, which Windows uses above 2 GB
    data[data.index(b"PK\x01\x02") + 10] = 9
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DatasetError, match=r"cannot be read here.*another program"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_damaged_tars(tmp_path, mode):
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode) as file:
        for name in "ab":
            info = tarfile.TarInfo(name)
            info.size = 3000
            file.addfile(info, io.BytesIO(bytes(range(250)) * 12))
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2] if mode != "w" else whole[:4000], spoiled(whole, mode)):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match="damaged or incomplete"):
            unpack(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def spoiled(data, mode):
    """In the second header, at which tarfile ends without a word, or in the compressed bytes."""
    middle = 512 + 3072 + 20 if mode == "w" else len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


def test_a_zip_whose_bytes_were_changed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jpg", b"unchanged")
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(b"unchanged", b"different"))
    with pytest.raises(DatasetError, match="damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_an_extended_header_of_any_size_is_not_read(tmp_path):
    """tarfile reads such headers whole; a compressed one may claim gigabytes."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**31
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.fileobj.write(info.tobuf())
        file.fileobj.write(bytes(2048))
    with pytest.raises(DatasetError, match="a header of 2,147,483,648 bytes"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
