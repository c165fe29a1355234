"""Model directories that are damaged, of another program or of bad intent: one clear error each."""

import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.inference.model_directory import damage_of, read_tensors
from support.yaml_bombs import BOMBS, bounded


@pytest.fixture
def saved(tiny_run, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_run[1] / "epoch_2", tmp_path / "model"))


@pytest.fixture
def of_an_earlier_version(saved) -> Path:
    """`.success` was empty, and sizes are not known."""
    (saved / ".success").write_text("")
    return saved


def test_both_kinds_are_read(saved):
    assert damage_of(saved) == ""
    (saved / ".success").write_text("")
    assert damage_of(saved) == ""
    assert pdx.load_model(saved).labels


def test_the_details_of_its_evaluation_may_be_taken_away(saved):
    """They can be larger than the weights; the model does not need them."""
    (saved / "eval_details.json").unlink()
    assert damage_of(saved) == ""
    assert pdx.load_model(saved).labels


def test_a_folder_of_something_else_is_not_replaced(saved, tmp_path, monkeypatch):
    """Neither by a model nor by an exported one; models replace models."""
    model = pdx.load_model(saved)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    monkeypatch.chdir(tmp_path / "work")
    for folder in (tmp_path / "work", "."):
        for write in (model.save_model, model.export_inference_model):
            with pytest.raises(ValueError, match="is there and is no saved model: name a folder"):
                write(folder)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"
    (tmp_path / "empty").mkdir()
    (saved / "model.yml").unlink()  # damaged, and a model all the same
    for folder in (saved, tmp_path / "empty"):
        model.save_model(folder)
        assert pdx.load_model(folder).labels


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("/nowhere/at/all",)


def compressed(path: Path) -> None:
    torch.save({"w": torch.zeros(1000)}, path)
    parts = zipfile.ZipFile(path)
    contents = {name: parts.read(name) for name in parts.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


WEIGHTS = {
    "empty": (lambda path: path.write_bytes(b""), "empty or cut off"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:9999]), "empty or cut off"),
    "no archive": (
        lambda path: path.write_bytes(b"hello, world" * 99),
        "damaged, or was not written",
    ),
    "code": (lambda path: torch.save({"w": RunsCode()}, path), "may run code"),
    "pickled code": (
        lambda path: path.write_bytes(pickle.dumps(RunsCode(), protocol=2)),
        "cannot be used",
    ),
    "compressed": (compressed, "it is compressed"),
    "a list": (lambda path: torch.save([1, 2], path), "no tensors by name"),
    "another network": (
        lambda path: torch.save({"w": torch.zeros(1)}, path),
        "does not hold the weights",
    ),
    "no tensors": (lambda path: torch.save({"w": 1}, path), "does not hold the weights"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "model.pth is missing"),
}


@pytest.mark.parametrize(("spoil", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights(of_an_earlier_version, spoil, message):
    spoil(of_an_earlier_version / "model.pth")
    with pytest.raises(ValueError, match=message) as caught:
        pdx.load_model(of_an_earlier_version)
    assert "model.pth" in str(caught.value)
    assert "weights_only=False" not in str(caught.value), "torch's advice to run code"


def changed(**entries):
    def change(path: Path) -> None:
        card = yaml.safe_load(path.read_text()) | entries
        path.write_text(yaml.safe_dump({k: v for k, v in card.items() if v is not None}))

    return change


CARDS = {
    "empty": (lambda path: path.write_text(""), "was not written by this program"),
    "no yaml": (lambda path: path.write_text("a: [1,"), "is not valid YAML"),
    "bytes": (lambda path: path.write_bytes(bytes(range(256))), "is not valid YAML"),
    "a list": (lambda path: path.write_text("- 1"), "is not a mapping"),
    "no classes": (changed(labels=None), "damaged, or not of this program"),
    "no format": (changed(input_format=None), "damaged, or not of this program"),
    "half a format": (changed(input_format={"scaled": True}), "damaged, or not of this program"),
    "format of another kind": (changed(input_format=3), "damaged, or not of this program"),
    "another program's": (changed(params={"hidden_size": 3}), "hidden_size"),
    "params of another kind": (changed(params=[1]), "damaged, or not of this program"),
    "classes of another kind": (changed(labels=3), "damaged, or not of this program"),
}


@pytest.mark.parametrize(("spoil", "message"), CARDS.values(), ids=CARDS)
def test_cards(of_an_earlier_version, spoil, message):
    spoil(of_an_earlier_version / "model.yml")
    with pytest.raises(ValueError, match=message):
        pdx.load_model(of_an_earlier_version)


def test_a_file_that_changed_its_size(saved):
    with (saved / "model.pth").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=r"is damaged: model\.pth has \d+ bytes; saved were \d+"):
        pdx.load_model(saved)


def test_it_is_not_unpacked_to_see_that_it_is_compressed(tmp_path):
    path = tmp_path / "bomb.pth"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data/0", "w") as part,
    ):
        for _ in range(64):
            part.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match="it is compressed"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["references", "merges", "depth in brackets", "long number"])
def test_a_stranger_s_card_that_stands_for_too_much(tmp_path, name):
    for file, text in {"model.yml": BOMBS[name], "model.pth": "", ".success": ""}.items():
        (tmp_path / file).write_text(text)
    with bounded(), pytest.raises(ValueError, match=r"model\.yml is not valid YAML") as caught:
        pdx.load_model(tmp_path)
    assert len(str(caught.value)) < 1_000
