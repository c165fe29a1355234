"""Where written sets go: all of it or nothing, and never over what was read."""

import pytest

from paddlex_maskrcnn.data.convert.output import fresh_folder, keep_apart, write_file
from paddlex_maskrcnn.data.datasets import DatasetError


def test_a_folder_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "sub" / "out"
    with fresh_folder(target, force=False) as folder:
        (folder / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        with fresh_folder(tmp_path / "out", force=False) as folder:
            (folder / "a.txt").write_text("a")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_only_force_writes_into_a_folder_and_then_leaves_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(DatasetError, match="is not empty"), fresh_folder(tmp_path, force=False):
        pass
    with fresh_folder(tmp_path, force=True) as folder:
        (folder / "a.txt").write_text("new")
        (folder / "b").mkdir()
        (folder / "b" / "c.txt").write_text("c")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "b" / "c.txt").read_text() == "c"


def test_a_file_is_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DatasetError, match="is a file"), fresh_folder(tmp_path / "out", True):
        pass


def test_originals_are_kept_apart(tmp_path):
    (tmp_path / "data").mkdir()
    original = tmp_path / "data" / "a.json"
    original.write_text("")
    keep_apart(tmp_path / "data" / "new.json", [original])
    for out in (original, tmp_path / "data", tmp_path):
        with pytest.raises(DatasetError, match="is where the original is"):
            keep_apart(out, [original])
    with pytest.raises(DatasetError, match="is where the original is"):
        keep_apart(original, [tmp_path / "data"])


def test_a_file_is_replaced_with_force_only(tmp_path):
    target = tmp_path / "sub" / "a.json"
    write_file(target, "1", force=False)
    with pytest.raises(DatasetError, match="exists; name another file, or say --force"):
        write_file(target, "2", force=False)
    assert target.read_text() == "1"
    write_file(target, "2", force=True)
    assert target.read_text() == "2"
    assert list(target.parent.iterdir()) == [target]
