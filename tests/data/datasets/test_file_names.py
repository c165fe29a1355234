"""Names written otherwise: found where one file can be meant, explained where not, never outside."""

import os
import unicodedata

import pytest

from paddlex_maskrcnn.data.datasets.file_names import FileFinder

COMPOSED = unicodedata.normalize("NFC", "M\u00f6we.png")
SEPARATE = unicodedata.normalize("NFD", COMPOSED)


@pytest.fixture
def folder(tmp_path):
    """Files of a data set, and one outside it."""
    names = ("a.png", "my photo.JPG", "sub/b.png", "sub/a.png", "Two.png", "TWO.png", SEPARATE)
    for name in (*names, ".hidden/c.png", "photo.jpg"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "secret.png").touch()
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.PNG", "a.png"),
        ("SUB/B.png", "sub/b.png"),
        (COMPOSED, SEPARATE),
        ("my%20photo.jpg", "my photo.JPG"),
        ("sub\\b.png", "sub/b.png"),
        ("images/a.png", "a.png"),
        ("images/sub/a.png", "sub/a.png"),
        ("D:\\export\\images\\a.png", "a.png"),
        ("/gone/Data/sub/b.png", "sub/b.png"),
        ("/data/upload/3/0123abcd-a.png", "a.png"),
        ("0123abcd-a.png", "a.png"),
        ("https://labels.example/files/a.png", "a.png"),
    ],
)
def test_found(folder, name, expected):
    assert FileFinder(folder).find(name) == str(folder / expected)


def test_absolute_inside(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert FileFinder(folder).find(str(folder / "sub" / "b.png")) == str(folder / "sub/b.png")
    assert FileFinder(folder).find(str(tmp_path / "link/sub/b.png")) == str(folder / "sub/b.png")
    assert FileFinder(tmp_path / "link").find(str(folder / "a.png")) == str(tmp_path / "link/a.png")


@pytest.mark.parametrize(
    "name",
    [
        "gone.png", "two.png", "video2/a.png", "/gone/video2/a.png", "SUB/Two.png", "gone/sub/b.png",
        "../a.png", "../secret.png", "..\\..\\a.png", "OUTSIDE/secret.png",
        "%2e%2e/secret.png", "sub/my photo.JPG", "hidden/c.png", ".hidden/C.png", "a\0.png", "a%00.png",
        "\ud800", "/\ud800",
        "a.jpg", "photo_jpg.rf.0123456789abcdef.jpg", "", "sub", ".",
    ],
)  # fmt: skip
def test_not_found(folder, name):
    assert FileFinder(folder).find(name.replace("OUTSIDE", str(folder.parent))) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("two.png", "TWO.png, Two.png"),
        ("a.jpg", "a.png"),
        ("../a.png", "a.png"),
        ("/gone/video2/a.png", "a.png"),
        ("gone/sub/b.png", "sub/b.png"),
        ("photo_jpg.rf.0123456789abcdef.jpg", "photo.jpg"),
    ],
)
def test_hints(folder, name, expected):
    assert FileFinder(folder).hint(name) == f"; there is {expected} in the folder"


def test_no_hint(folder):
    finder = FileFinder(folder)
    assert finder.hint("gone.png") == ""
    for _ in range(100):  # a folder is looked through for those only that messages show
        finder.hint("gone.png")
    assert finder.hint("a.jpg") == ""


def test_names_without_end(folder):
    """Seconds would be hours if every end of it were looked for."""
    finder = FileFinder(folder)
    for name in ("/".join("x" * 100_000), "/gone" * 50_000 + "/images/a.png", "%25" * 100_000):
        assert finder.find(name) is None
        assert finder.hint(name) == ""


def test_spelling_only(folder):
    finder = FileFinder(folder)
    assert finder.spelt("SUB/b.PNG") == str(folder / "sub/b.png")
    assert [finder.spelt(name) for name in ("images/a.png", "two.png", "../secret.png")] == [
        None
    ] * 3


def test_each_folder_is_listed_once(folder, monkeypatch):
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    finder = FileFinder(folder)
    for number in range(100):
        finder.find(f"sub/gone{number}.png")
    assert sorted(listed) == sorted({str(folder), str(folder / "sub")})
