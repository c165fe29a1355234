"""The folder of a run: refused, replaced, numbered, locked, cleaned; what killed saves left in it."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from paddlex_maskrcnn.config.schema import TrainParams
from paddlex_maskrcnn.engine import run_folder
from paddlex_maskrcnn.engine.checkpoints import bring_best_model
from paddlex_maskrcnn.engine.run_folder import BEST_MODEL
from paddlex_maskrcnn.inference import model_directory
from paddlex_maskrcnn.inference.model_directory import finish_interrupted_saves, read_card
from support.tiny_training import numbers, same, train, weights


def params(save_dir, **more):
    return TrainParams(num_epochs=1, train_dataset=None, save_dir=str(save_dir), **more)


def model(folder: Path, name: str) -> Path:
    """What looks like a complete model directory."""
    directory = folder / name
    directory.mkdir(parents=True)
    for file in ("model.pth", "model.yml", ".success"):
        (directory / file).touch()
    return directory


@pytest.fixture
def finished(tiny_run, tmp_path) -> Path:
    """The folder of a run of two epochs."""
    return Path(shutil.copytree(tiny_run[1], tmp_path / "run"))


def test_a_second_run_is_refused_and_nothing_changes(finished, tiny_data):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    with pytest.raises(ValueError, match="holds the models of an earlier run") as caught:
        train(tiny_data, finished, num_epochs=1)
    for way in ("--resume", "--overwrite", "if_exists='overwrite'", "save_dir=auto"):
        assert way in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_auto_resume_does_not_replace_a_run_that_it_cannot_go_on_with(finished, tiny_data):
    for directory in finished.glob("epoch_*"):
        (directory / "state.pth").unlink()
    with pytest.raises(ValueError, match="holds the models of an earlier run"):
        train(tiny_data, finished, resume_checkpoint="auto")


def test_overwrite_leaves_nothing_of_the_old_run(finished, tiny_data):
    (finished / "notes.txt").write_text("mine")
    (finished / "mine").mkdir()
    train((tiny_data[0], None), finished, num_epochs=1, if_exists="overwrite", seed=1)
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "notes.txt", "mine", "epoch_1", "config.yaml", "train.log", "metrics.jsonl", "metrics.csv",
        "tensorboard", ".run_id", ".lock",
    }  # fmt: skip
    assert [row["epoch"] for row in numbers(finished)] == [1, 1, 1]


def test_mistakes_elsewhere_leave_the_old_run_alone(finished, tiny_data):
    with pytest.raises(ValueError, match="train_batch_size"):
        train(tiny_data, finished, if_exists="overwrite", train_batch_size=99)
    assert (finished / "best_model" / ".success").is_file()


@pytest.mark.long
def test_numbers(tmp_path, tiny_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("output", "run_1").mkdir(parents=True)
    trained = train((tiny_data[0], None), "auto", num_epochs=1)
    assert trained.save_dir == Path("output", "run_2")
    assert "save_dir: output/run_2" in (trained.save_dir / "config.yaml").read_text()
    resumed = train((tiny_data[0], None), "auto", num_epochs=1, resume_checkpoint="auto")
    assert resumed.save_dir == Path("output", "run_2")
    assert not Path("auto").exists()
    assert not Path("output", "run_3").exists()


def test_which_number_comes_next(tmp_path):
    wanted = params(tmp_path / "run", if_exists="number")
    assert run_folder.folder_to_write(wanted, None) == tmp_path / "run"
    model(tmp_path / "run", "epoch_1")
    assert run_folder.folder_to_write(wanted, None) == tmp_path / "run_2"
    (tmp_path / "run_10").mkdir()
    (tmp_path / "run_x").mkdir()
    assert run_folder.folder_to_write(wanted, None) == tmp_path / "run_11"
    assert run_folder.folder_of(wanted) == tmp_path / "run_11"
    checkpoint = model(tmp_path / "run_11", "epoch_1")
    assert run_folder.folder_to_write(wanted, checkpoint) == tmp_path / "run_11"


def test_a_folder_is_used_by_one_run_at_a_time(tmp_path, tiny_data):
    with run_folder.locked(tmp_path):
        expected = f"is in use by process {os.getpid()} on "
        with pytest.raises(ValueError, match=expected), run_folder.locked(tmp_path):
            pass
        with pytest.raises(ValueError, match=expected):
            train(tiny_data, tmp_path)
    with run_folder.locked(tmp_path):  # free again
        pass
    assert not (tmp_path / ".lock_owner").exists()


def test_a_folder_that_cannot_be_locked_is_used_all_the_same(tmp_path, monkeypatch, caplog):
    def no_locks(self, **more):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(FileLock, "acquire", no_locks)
    with run_folder.locked(tmp_path):
        pass
    assert "cannot be locked" in caplog.text


def test_interrupted_saves_get_their_names(tmp_path):
    model(tmp_path, ".epoch_1.unfinished")
    model(tmp_path, ".epoch_2.unfinished")
    model(tmp_path, "epoch_2")
    (tmp_path / ".epoch_3.unfinished").mkdir()  # not complete
    model(tmp_path, ".latest.old")
    model(tmp_path, ".best_model.old")
    (model(tmp_path, ".best_model.unfinished") / "newer").touch()
    assert run_folder.models_in(tmp_path) == ["best_model", "epoch_1", "epoch_2", "latest"]
    finish_interrupted_saves(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"best_model", "epoch_1", "epoch_2", "latest"}
    assert (tmp_path / "best_model" / "newer").is_file()


def test_resume_adopts_a_save_that_was_killed_before_its_last_rename(finished, tiny_run, tiny_data):
    (finished / "epoch_2").rename(finished / ".epoch_2.unfinished")
    shutil.rmtree(finished / "best_model")
    train(tiny_data, finished, resume_checkpoint="auto")
    names = ("epoch_1", "epoch_2", "best_model")
    assert all(same(weights(finished / name), weights(tiny_run[1] / name)) for name in names)
    assert not list(finished.glob(".*.unfinished"))


def test_the_best_model_is_brought_along(finished, tiny_run, tiny_data, tmp_path):
    epoch = read_card(finished / BEST_MODEL).completed_epochs
    target = tmp_path / "other"
    target.mkdir()
    bring_best_model(finished, target, epoch)
    assert same(weights(target / BEST_MODEL), weights(finished / BEST_MODEL))
    assert not (target / BEST_MODEL / "state.pth").exists()
    shutil.rmtree(finished / f"epoch_{epoch}")  # keep_last has removed it
    shutil.rmtree(target)
    bring_best_model(finished, target, epoch)
    assert read_card(target / BEST_MODEL).completed_epochs == epoch


def test_a_lost_best_model_is_told(tmp_path, caplog):
    bring_best_model(tmp_path, tmp_path, 3)
    assert "of epoch 3, is in none of the folders" in caplog.text


@pytest.mark.parametrize("damage", ["cut off", "emptied", "removed", "overwritten"])
@pytest.mark.parametrize("file", ["model.pth", "state.pth", "model.yml"])
def test_damage_is_seen(finished, file, damage):
    directory = finished / "epoch_2"
    assert model_directory.damage_of(directory) == ""
    spoil(directory / file, damage)
    assert file in model_directory.damage_of(directory)


def spoil(path: Path, damage: str) -> None:
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "overwritten":  # as a disk does that lost power
        path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    else:
        path.write_bytes(b"" if damage == "emptied" else data[: len(data) // 2])


def test_a_damaged_checkpoint_is_passed_over(finished, tiny_run, tiny_data, caplog):
    spoil(finished / "epoch_2" / "state.pth", "overwritten")
    (finished / ".run_id").write_bytes(b"\xff\x00")
    with (finished / "metrics.jsonl").open("ab") as file:
        file.write(bytes(20) + b"\n")
    train(tiny_data, finished, resume_checkpoint="auto")
    assert "Passed over" in caplog.text
    assert "1 damaged lines are left out" in caplog.text
    assert same(weights(finished / "epoch_2"), weights(tiny_run[1] / "epoch_2"))
    assert same(weights(finished / "best_model"), weights(tiny_run[1] / "best_model"))
    assert numbers(finished) == numbers(tiny_run[1])
