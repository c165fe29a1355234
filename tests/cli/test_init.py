import errno
import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.cli.init import output_folder
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.data.datasets import open_dataset


def state(folder):
    """Names and contents of all files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def test_it_writes_an_experiment_and_leaves_the_source_alone(labelled, here, capsys):
    before = state(labelled)
    assert cli.main(["init", str(labelled)]) == 0
    assert state(labelled) == before
    written = sorted(path.name for path in (here / "output/photos").iterdir())
    assert written == ["check.html", "experiment.yaml", "train.txt", "val.txt"]
    out = capsys.readouterr().out
    assert "is LabelMe" in out
    assert "next: paddlex-maskrcnn train --config output/photos/experiment.yaml" in out
    loaded = load_experiment(here / "output/photos/experiment.yaml")
    assert open_dataset(loaded.experiment.data.train).num_samples == 5


def test_an_experiment_that_is_there_is_not_replaced_unasked(labelled, here, capsys):
    assert cli.main(["init", str(labelled)]) == 0
    file = here / "output/photos/experiment.yaml"
    file.write_text("# mine\n" + file.read_text())
    before = state(here)
    assert cli.main(["init", str(labelled)]) == 2
    assert "exists and may have been edited" in capsys.readouterr().err
    assert state(here) == before
    assert cli.main(["init", str(labelled), "--force"]) == 0
    assert not file.read_text().startswith("# mine")


def test_the_folder_of_the_pictures_is_not_written_to(labelled, here, capsys):
    shutil.copytree(labelled, here / "output/photos")
    before = state(here)
    for arguments in (["output/photos"], ["output/photos", "--output", "output/photos", "--force"]):
        assert cli.main(["init", *arguments]) == 2
        assert "is the folder of the pictures, which stays as it is" in capsys.readouterr().err
    assert state(here) == before


def test_lists_of_others_are_not_replaced_unasked(labelled, here, capsys):
    """Tools of YOLO write a train.txt as well."""
    (here / "train.txt").write_text("mine")
    before = state(here)
    assert cli.main(["init", str(labelled), "--output", "."]) == 2
    assert "'train.txt' exists; name another --output" in capsys.readouterr().err
    assert state(here) == before
    assert cli.main(["init", str(labelled), "--output", ".", "--force"]) == 0


def test_names_with_special_characters(labelled, here, capsys):
    source = here / "日本 #1 ${x}: 'a'"
    shutil.copytree(labelled, source)
    for path in source.glob("00000.*"):
        path.rename(path.with_stem(" ${y} # é"))
    for path in source.glob("* é.json"):
        path.write_text(path.read_text().replace("00000.", " ${y} # é."))
    assert cli.main(["init", str(source)]) == 0
    folder = here / "output" / source.name
    loaded = load_experiment(folder / "experiment.yaml")
    opened = [open_dataset(getattr(loaded.experiment.data, part)) for part in ("train", "eval")]
    assert sum(dataset.num_samples for dataset in opened) == 6
    last = capsys.readouterr().out.splitlines()[-1].partition("next: ")[2]
    assert shlex.split(last)[-1] == str(folder.relative_to(here) / "experiment.yaml")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_that_are_not_utf_8_are_refused(labelled, here, capsys):
    source = here / "photos"
    shutil.copytree(labelled, source)
    for path in source.glob("00000.*"):
        path.rename(path.with_stem("caf\udce9"))
    for path in source.glob("caf*.json"):
        path.write_text(path.read_text().replace("00000.", "caf\\udce9."))
    assert cli.main(["init", str(source)]) == 2
    assert "caf" in capsys.readouterr().err
    assert not (here / "output").exists()


def test_an_archive_is_unpacked_once(labelled, here):
    shutil.make_archive(str(here / "photos.v1"), "zip", labelled)
    assert cli.main(["init", "photos.v1.zip", "--output", "mine"]) == 0
    loaded = load_experiment(here / "mine/experiment.yaml")
    dataset = open_dataset(loaded.experiment.data.train)
    assert dataset.num_samples == 5
    assert all(str(here / "mine") in record["file_name"] for record in dataset.records)
    unpacked = state(here / "mine/unpacked")
    assert cli.main(["init", "photos.v1.zip", "--output", "mine", "--force"]) == 0
    assert state(here / "mine/unpacked") == unpacked


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("photos", "photos"),
        ("photos/", "photos"),
        ("a/b.v1i.coco.zip", "b.v1i.coco"),
        ("set.tar.gz", "set"),
        ("labels.json", "labels"),
        ("data.v2", "data.v2"),
        ("photos/inside/..", "photos"),
    ],
)
def test_the_folder_has_the_name_of_the_source(given, name, here):
    path = here / given
    if path.suffix and path.name not in ("data.v2", ".."):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    else:
        path.mkdir(parents=True, exist_ok=True)
    arguments = cli.parse("init", [given], "x")
    assert output_folder(arguments) == Path("output") / name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "the folder is empty"),
        ({"a.jpg": None, "b.jpg": None}, "2 pictures"),
        ({"broken.zip": b"PK no zip"}, "it holds archives (broken.zip)"),
    ],
)
def test_what_cannot_be_drafted_leaves_nothing_behind(content, message, labelled, here, capsys):
    source = here / "source"
    source.mkdir()
    for name, data in content.items():
        if data is None:
            shutil.copy(next(labelled.glob("*.jpg")), source / name)
        else:
            (source / name).write_bytes(data)
    before = state(here)
    assert cli.main(["init", "source"]) == 2
    assert message in capsys.readouterr().err
    assert state(here) == before
    assert not (here / "output").exists()


def test_a_full_disk(labelled, here, monkeypatch, capsys):
    def full(self, *arguments, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    assert cli.main(["init", str(labelled)]) == 2
    assert "cannot write to 'output/photos': No space left on device" in capsys.readouterr().err
    assert state(here) == {}
    assert not (here / "output").exists()


def test_arguments_that_mean_nothing(labelled, here, capsys):
    for arguments, message in (
        ([str(labelled), "--val", "1"], "--val is 1; a share of the images between 0 and 1"),
        (["nowhere"], "there is no 'nowhere'"),
        ([str(labelled), "--type", "CocoDetectoin"], "did you mean 'CocoDetection'?"),
    ):
        assert cli.main(["init", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (here / "output").exists()
