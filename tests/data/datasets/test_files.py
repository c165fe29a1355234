"""Files of data sets: what cannot be read has a reason, names that lead outside are not followed."""

import os
import time

import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError
from paddlex_maskrcnn.data.datasets.files import (
    UnusableFileError,
    files_below,
    in_threads,
    is_junk,
    leaves_folder,
    pictures_in,
    read_headers,
    read_json,
    read_labels,
    read_lines,
    read_text,
)


def test_text_is_utf_8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfm\xc3\xb6we\n\n  b \n")
    assert read_lines(path, "list") == [(1, "m\u00f6we"), (3, "b")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_is_read_in_every_unicode_encoding(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('{"name": "\u82f9\u679c"}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"name": "\u82f9\u679c"}


@pytest.mark.parametrize(
    ("encoding", "text", "reason"),
    [
        ("gbk", "\u82f9\u679c", "iconv -f GB18030 -t UTF-8 'my list.txt'"),
        ("big5", "\u860b\u679c", "Big5"),
        ("cp932", "\u308a\u3093\u3054", "CP932"),
        (
            "cp1252",
            "caf\u00e9\n",
            "valid in CP1252: save it as UTF-8, such as with iconv -f CP1252",
        ),
    ],
)
def test_other_encodings_are_named_with_the_command_that_converts_them(
    tmp_path, encoding, text, reason
):
    path = tmp_path / "my list.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(UnusableFileError) as caught:
        read_text(path)
    assert str(caught.value).startswith("not UTF-8 text")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "missing"),
        (b"\xff", "not UTF-8 text"),
        (b"\xff\xfe\x00", "damaged UTF-16 text, or no text"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "companion file"),
        (b"{", "not json"),
        (b"[" * 99999, "not json"),
    ],
)
def test_the_reason_why_a_file_cannot_be_used(tmp_path, data, reason):
    path = tmp_path / "a.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UnusableFileError, match=reason):
        read_json(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableFileError, match="not a file"):
        read_text(tmp_path / "pipe")


def test_labels_of_a_list_and_of_a_labelme_file(tmp_path):
    assert read_labels(["b", "a"]) == ["b", "a"]
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\n")
    assert read_labels(str(tmp_path / "labels.txt")) == ["cat"]
    assert read_labels(["_background_", "cat"]) == ["cat"]
    for labels, fragment in ((["a", ""], "'' is no class name"), ([], "names no class")):
        with pytest.raises(DatasetError, match=fragment):
            read_labels(labels)


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "..", "C:\\a", "d:/a", "a\0b"])
def test_names_that_lead_outside(name):
    assert leaves_folder(name)


@pytest.mark.parametrize("name", ["a", "a/b", "a/../b", "..a", "a:b"])
def test_names_that_stay_inside(name):
    assert not leaves_folder(name)


def test_files_below_are_sorted_and_circles_of_links_end(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("z.png", "a.JPG", "b/c/d.txt", "b/a.png"):
        (tmp_path / name).touch()
    (tmp_path / "b" / "c" / "loop").symlink_to(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert names == ["a.JPG", "z.png", "b/a.png", "b/c/d.txt"]
    assert [path.name for path in pictures_in(tmp_path)] == ["a.JPG", "z.png"]


JUNK = [
    ".DS_Store", "._a.png", ".ipynb_checkpoints", ".thumbnails", "__MACOSX", "@eaDir", "Thumbs.db",
    "desktop.ini", "#recycle",
]  # fmt: skip


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_passed_over(tmp_path, name):
    assert is_junk(name)
    folder = tmp_path / ".own" / name
    folder.mkdir(parents=True)
    for path in (folder / "b.png", folder.parent / "a.png", folder.parent / f"{name}.png"):
        path.touch()
    hidden = name.startswith(".")
    expected = ["a.png"] if hidden else [f"{name}.png", "a.png"]
    if name == "desktop.ini":
        expected = ["a.png", "desktop.ini.png"]
    # the folder that the user names may be called as it likes
    assert [path.name for path in files_below(tmp_path / ".own")] == expected
    assert [path.name for path in pictures_in(tmp_path / ".own")] == expected


@pytest.mark.parametrize("name", ["a.png", "thumbs", "images", "a.DS_Store"])
def test_data_is_no_junk(name):
    assert not is_junk(name)


def test_a_companion_that_a_list_names_is_said_to_be_one(tmp_path):
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    (reason,) = read_headers([tmp_path / "._a.png"])
    assert "companion file (._NAME) that macOS left" in reason


def test_headers_or_reasons(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    header, broken, missing = read_headers(
        [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    )
    assert header.upright == (10, 20)
    assert isinstance(broken, str)
    assert missing == "missing"


@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_threads_keep_the_order(pause):
    """Items that have to wait go on in threads after the first chunk."""

    def double(item):
        time.sleep(pause)
        return 2 * item

    assert in_threads(double, range(200)) == [2 * item for item in range(200)]
