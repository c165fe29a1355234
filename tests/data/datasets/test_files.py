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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "missing"),
        (b"\xff", "not UTF-8 text"),
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
