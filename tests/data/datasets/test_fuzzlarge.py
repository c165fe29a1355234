"""Valid sets of every format, spoiled at random: a clear error, or nothing is lost.

Whatever is done to an annotation file or a picture, a set either opens with all its objects, or a
DatasetError names the file; nothing else is raised, nothing hangs, and no file is changed by us.
"""

import copy
import hashlib
import json
import logging
import os
import random
import zlib

import numpy as np
import pycocotools.mask as mask_util
import pytest
from PIL import Image

from paddlex_maskrcnn.data.datasets import DatasetError
from paddlex_maskrcnn.data.images import read_image
from reference.tiny_sets import (
    FORMATS,
    HEIGHT,
    SQUARES,
    WIDTH,
    Coco,
    EasyData,
    LabelMe,
    Yolo,
    draw,
    mask,
)

STRANGE = [
    None, True, 0, -1, 2, 10**30, 1e308, -1e308, 0.5, float("nan"), float("inf"), "", "x", "../x.png",
    "a\0b", "\ud800", [], {}, [[]], [None], {"a": 1}, [1, 2], "9" * 5000,
]  # fmt: skip
ROUNDS = 700


@pytest.fixture
def build(tmp_path):
    """Makes a fresh valid set: (set, folder)."""

    def build(kind):
        folder = tmp_path / f"{kind.__name__}{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        draw(folder)
        return kind(folder), folder

    return build


def content_of(folder):
    """What every file and link of a folder holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path] = os.readlink(path)
        elif path.is_file():
            found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def objects_of(dataset):
    return sum(len(record["annotations"]) for record in dataset.records)


def check(data, folder, caplog, spoiled, may_lose=False, skip=False):
    """Open a spoiled set and hold it against the one rule."""
    before = content_of(folder)
    caplog.clear()
    dataset, message = opened(data, folder, skip)
    if dataset is None:
        named = ("list.txt", "a.xml", "a.png") if spoiled == "list.txt" else (spoiled,)
        empty = may_lose and "there is no object to learn" in message
        assert empty or any(name in message for name in named), f"{spoiled}: {message}"
        assert len(message) < 10_000
    else:
        told = any(record.levelno >= logging.WARNING for record in caplog.records)
        assert told or may_lose or objects_of(dataset) >= len(SQUARES), spoiled
    assert content_of(folder) == before


def opened(data, folder, skip):
    """The set, every picture of which can be read, or None and what the error says."""
    try:
        dataset = data.open(folder, skip)
    except DatasetError as error:
        return None, str(error)
    for record in dataset.records:
        try:
            read_image(record["file_name"], "RGB", 3, (record["height"], record["width"]))
        except ValueError as error:  # damage that shows only when pixels are decoded
            return None, str(error)
    return dataset, ""


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_valid_opens(build, caplog, kind):
    data, folder = build(kind)
    dataset = data.open(folder, False)
    assert not caplog.records
    assert objects_of(dataset) == len(SQUARES)
    for one, (name, square) in zip(dataset.records[0]["annotations"], SQUARES, strict=True):
        assert dataset.labels[one["category_id"]] == name
        segmentation = one["segmentation"]
        if isinstance(segmentation, list):
            segmentation = mask_util.frPyObjects(segmentation, HEIGHT, WIDTH)[0]
        np.testing.assert_array_equal(mask_util.decode(segmentation), mask(*square))


def places(tree, path=()):
    """Every path into a json value."""
    if path:
        yield path
    pairs = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in pairs:
        yield from places(value, (*path, key))


def mutate_json(content, rng):
    """Spoil one place; whether objects as a whole can be gone after it."""
    path = rng.choice(list(places(content)))
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    how = rng.choice(["replace", "replace", "replace", "remove", "repeat", "wrap"])
    if how == "remove" and isinstance(parent, dict):
        del parent[path[-1]]
    elif how == "repeat" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[path[-1]]))
    elif how == "wrap":
        parent[path[-1]] = [parent[path[-1]]]
    else:
        parent[path[-1]] = copy.deepcopy(rng.choice(STRANGE))
        return path[-1] in ("annotations", "shapes", "labels") and parent[path[-1]] == []
    return False


@pytest.mark.parametrize("kind", [Coco, LabelMe, EasyData])
def test_json_spoiled_in_one_place(build, caplog, kind):
    rng = random.Random(kind.__name__)
    data, folder = build(kind)
    path = folder / data.files[0]
    valid = json.loads(path.read_text())
    for _ in range(3 * ROUNDS):
        content = copy.deepcopy(valid)
        may_lose = mutate_json(content, rng)
        path.write_text(json.dumps(content))
        check(data, folder, caplog, path.name, may_lose, skip=rng.random() < 0.5)


def mutate_bytes(data, rng):
    """Cut, overwrite, insert or repeat a few bytes."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 3])):
        place = rng.randrange(len(data) + 1)
        how = rng.choice(["cut", "overwrite", "overwrite", "insert", "repeat"])
        if how == "cut":
            del data[place:]
        elif how == "overwrite":
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif how == "insert":
            data[place:place] = rng.choice(
                [b"\xff\xfe", b"\0", b"-", b"1e999", b"\n", b"<", b"nan "]
            )
        else:
            data[place:place] = data[max(0, place - 9) : place]
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in FORMATS for name in kind.files],
    ids=lambda one: str(one),
)
def test_files_spoiled_byte_by_byte(build, caplog, kind, name):
    """Lines and json cut off cleanly are valid with less in them, which nobody can know."""
    rng = random.Random(f"{kind.__name__}{name}")
    data, folder = build(kind)
    path = folder / name
    valid = path.read_bytes()
    for _ in range(ROUNDS):
        path.write_bytes(mutate_bytes(valid, rng))
        shorter = path.stat().st_size < len(valid)
        may_lose = shorter or path.suffix in (".txt", ".png", ".yaml")
        check(data, folder, caplog, path.name, may_lose, skip=rng.random() < 0.5)


def huge_png(width, height):
    """A PNG whose header promises more than it has."""

    def chunk(name, data):
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def spoil_picture(path, how):
    whole = path.read_bytes()
    path.unlink()
    if how == "huge header":
        path.write_bytes(huge_png(100_000, 100_000))
    elif how == "no bytes":
        path.write_bytes(b"")
    elif how == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "cut off jpeg":
        Image.new("RGB", (WIDTH, HEIGHT)).save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "link to itself":
        path.symlink_to(path)
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()


PICTURES = [
    "huge header",
    "no bytes",
    "cut off",
    "cut off jpeg",
    "link to itself",
    "pipe",
    "folder",
]


@pytest.mark.parametrize("how", [*PICTURES, "gone"])
@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_that_cannot_be_read_stop(build, kind, how):
    data, folder = build(kind)
    spoil_picture(folder / "a.png", how)
    with pytest.raises(DatasetError, match=r"a\.png"):
        data.open(folder, True)


@pytest.mark.parametrize(
    "how", ["no bytes", "link to itself", "pipe", "folder", "gone", "not utf-8"]
)
@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in FORMATS for name in kind.files],
    ids=lambda one: str(one),
)
def test_annotation_files_that_cannot_be_read_stop(build, kind, name, how):
    data, folder = build(kind)
    path = folder / name
    if how == "not utf-8":
        path.write_bytes(path.read_bytes() + b"\xe4")
    else:
        spoil_picture(path, how)
    if how == "not utf-8" and path.suffix == ".png":
        return  # what comes after the end of a PNG is nothing to it
    if kind is Yolo and name == "a.txt" and how == "no bytes":
        assert objects_of(data.open(folder, False)) == 0  # so YOLO says that there is nothing
        return
    with pytest.raises(DatasetError) as caught:
        data.open(folder, True)
    assert path.name in str(caught.value) or str(folder) in str(caught.value)


def test_pictures_spoiled_byte_by_byte(build, caplog):
    rng = random.Random(0)
    data, folder = build(Coco)
    path = folder / "a.png"
    valid = path.read_bytes()
    Image.open(path).save(folder / "a.jpg", quality=90)
    jpeg = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").unlink()
    for _ in range(ROUNDS):
        path.write_bytes(mutate_bytes(rng.choice([valid, jpeg]), rng))
        check(data, folder, caplog, path.name)
