"""Runs that end before their time and go on."""

import errno
import logging
import os
import re
import signal

import pytest
import torch

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.engine.checkpoints import disk_errors_explained, new_run_id, write_run_id
from paddlex_maskrcnn.engine.trainer import Trainer
from paddlex_maskrcnn.errors import RunInterruptedError, TrainingTroubleError
from paddlex_maskrcnn.inference import model_directory
from support.tiny_training import FAST, SMALL, TRAIN, numbers, same, train, weights


def test_resume_goes_on_as_if_nothing_had_happened(tiny_run, tiny_data, tmp_path, monkeypatch):
    """A run that dies in its second epoch and is resumed ends with the same bits and metrics files."""

    step = Trainer.run_step

    def dies(self):
        if self.progress.step == 9:
            raise MemoryError("killed")
        step(self)

    monkeypatch.setattr(Trainer, "run_step", dies)
    with pytest.raises(MemoryError):
        train(tiny_data, tmp_path)
    monkeypatch.undo()
    torch.manual_seed(123)
    train(tiny_data, tmp_path, resume_checkpoint="auto")
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert numbers(tiny_run[1]) == numbers(tmp_path)


@pytest.mark.parametrize(
    "last_step",
    [*(pytest.param(step, marks=pytest.mark.long) for step in (1, 5, 9)), 6],
)
def test_sigterm_saves_and_the_resumed_run_is_the_same(
    tiny_run, tiny_data, tmp_path, monkeypatch, last_step
):
    """Also in the middle of an epoch and of a log interval."""

    step = Trainer.run_step

    def is_taken_away(self):
        if self.progress.step + 1 == last_step:
            os.kill(os.getpid(), signal.SIGTERM)
        step(self)

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Trainer, "run_step", is_taken_away)
    with pytest.raises(
        RunInterruptedError, match=f"SIGTERM after step {last_step}: everything is saved"
    ):
        train(tiny_data, tmp_path)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is handler
    train(tiny_data, tmp_path, resume_checkpoint="auto")
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert numbers(tiny_run[1]) == numbers(tmp_path)
    assert not (tmp_path / "latest").exists(), "of no use once the epoch is saved"


@pytest.mark.long
def test_sigterm_to_the_data_processes_too(tiny_run, tiny_data, tmp_path, monkeypatch):
    """As a job manager sends it: the step that lacks its images is not an error."""
    step = Trainer.run_step

    def lacks_images(batches):
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")
        yield from batches

    def is_taken_away(self):
        if self.progress.step == 3:
            self._batches = lacks_images(self._batches)
        step(self)

    monkeypatch.setattr(Trainer, "run_step", is_taken_away)
    with pytest.raises(RunInterruptedError, match="SIGTERM after step 3: everything is saved"):
        train(tiny_data, tmp_path)
    monkeypatch.undo()
    train(tiny_data, tmp_path, resume_checkpoint="auto")
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert numbers(tiny_run[1]) == numbers(tmp_path)


# 16 bits are another ten times slower where a CPU has no instructions for them
EVERYTHING = {"ema": 0.8, "accumulate": 2, "validation_loss": True}


@pytest.fixture(scope="module")
def trained_with_everything(tiny_data, tmp_path_factory):
    save_dir = tmp_path_factory.mktemp("everything")
    return train(tiny_data, save_dir, **EVERYTHING), save_dir


@pytest.mark.long
def test_the_average_goes_on_too(trained_with_everything, tiny_data, tmp_path, monkeypatch):
    """From the state an error in the middle of an epoch has left."""
    model, whole = trained_with_everything
    forward = Trainer._losses

    def dies(self, batch):
        if self.progress.step == 8:
            raise KeyError("a defect")
        return forward(self, batch)

    monkeypatch.setattr(Trainer, "_losses", dies)
    with pytest.raises(KeyError):
        train(tiny_data, tmp_path, **EVERYTHING)
    monkeypatch.undo()
    assert (tmp_path / "latest" / ".success").is_file()
    assert not (tmp_path / "latest" / ".success").is_symlink()
    resumed = train(tiny_data, tmp_path, resume_checkpoint="auto", **EVERYTHING)
    for name in ("epoch_2", "best_model"):
        assert same(weights(whole / name), weights(tmp_path / name))
    assert numbers(whole) == numbers(tmp_path)
    assert same(resumed.network.module.state_dict(), model.network.module.state_dict())
    assert same(resumed.network.module.state_dict(), weights(whole / "epoch_2")), "the average"


@pytest.mark.long
def test_ended_during_the_evaluation(tiny_run, tiny_data, tmp_path, monkeypatch):
    """The steps of the epoch are not lost; its evaluation comes once, after the resume."""
    import paddlex_maskrcnn.engine.train as engine_train

    def dies(*arguments, **more):
        raise KeyError("a defect")

    monkeypatch.setattr(engine_train, "evaluate_network", dies)
    with pytest.raises(KeyError):
        train(tiny_data, tmp_path)
    monkeypatch.undo()
    assert [row["step"] for row in numbers(tmp_path)] == [2, 4, 6]
    train(tiny_data, tmp_path, resume_checkpoint="auto")
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert same(weights(tiny_run[1] / "best_model"), weights(tmp_path / "best_model"))
    assert numbers(tiny_run[1]) == numbers(tmp_path)


@pytest.mark.long
def test_a_full_disk_is_told_and_nothing_is_lost(tiny_run, tiny_data, tmp_path, monkeypatch):
    save = torch.save

    def full(content, path):
        if "epoch_2" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(content, path)

    monkeypatch.setattr(model_directory.torch, "save", full)
    with pytest.raises(TrainingTroubleError, match=r"epoch_2 could not be saved: the disk is full"):
        train(tiny_data, tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "epoch_2").exists()
    train(tiny_data, tmp_path, resume_checkpoint="auto")
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert numbers(tiny_run[1]) == numbers(tmp_path)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "full"), "the disk is full"),
        (OSError(errno.EDQUOT, "quota"), "the quota of disk space is used up"),
        (OSError(errno.EFBIG, "big"), "larger than is allowed here (ulimit -f)"),
        (OSError(errno.EROFS, "ro"), "the disk is read-only"),
        (OSError(errno.EIO, "io"), "the disk reports an error"),
        (PermissionError(errno.EACCES, "not yours", "epoch_1"), "not yours"),
        (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file"), "a quota or"),
    ],
)
def test_errors_of_the_disk_in_words(error, reason, tmp_path):
    if getattr(error, "filename", None):
        error.filename = str(tmp_path / error.filename)

    def write():
        with disk_errors_explained(tmp_path / "epoch_1"):
            raise error

    with pytest.raises(
        TrainingTroubleError, match=f"epoch_1 could not be saved: .*{re.escape(reason)}"
    ):
        write()


def test_a_file_elsewhere_is_not_called_a_save(tmp_path):
    """The run's own block stands around all of it, reading pictures included."""

    def read():
        with disk_errors_explained(tmp_path / "run"):
            raise OSError(errno.EIO, "Input/output error", str(tmp_path / "images/a.png"))

    with pytest.raises(TrainingTroubleError, match=r"Input/output error: .*a\.png") as caught:
        read()
    assert "could not be saved" not in str(caught.value)


@pytest.mark.parametrize("kind", [TrainingTroubleError, RunInterruptedError])
def test_what_is_in_words_stays_so_on_a_full_disk(kind, tmp_path, monkeypatch):
    """The run's own block stands around that of each save, and both errors are RuntimeErrors."""
    monkeypatch.setattr("paddlex_maskrcnn.engine.checkpoints._is_full", lambda folder: True)
    told = kind("epoch_2 could not be saved")

    def fail():
        with disk_errors_explained(tmp_path):
            raise told

    with pytest.raises(kind) as caught:
        fail()
    assert caught.value is told


def test_other_errors_are_not_the_disks(tmp_path):
    def write(error):
        with disk_errors_explained(tmp_path / "epoch_1"):
            raise error

    for error in (RuntimeError("a defect"), OSError("without a number"), KeyError("x")):
        with pytest.raises(type(error)):
            write(error)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 5}, r"train\.seed was 0 and is 5\. Set them back, or accept"),
        ({"learning_rate": 0.1}, r"train\.learning_rate was 0\.01 and is 0\.1"),
        ({"optimizer": {"name": "AdamW"}}, r"train\.optimizer was None and is \{'name': 'AdamW'\}"),
    ],
)
def test_changed_settings_are_refused_with_a_difference(
    tiny_run, tiny_data, tmp_path, settings, message
):
    with pytest.raises(ValueError, match=message):
        train(tiny_data, tmp_path, resume_checkpoint=str(tiny_run[1] / "epoch_1"), **settings)


def test_what_has_no_influence_may_change(tiny_run, tiny_data, tmp_path):
    checkpoint = str(tiny_run[1] / "epoch_1")
    train(tiny_data, tmp_path, resume_checkpoint=checkpoint, log_interval_steps=3, keep_last=1)
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))


def test_changes_can_be_accepted(tiny_run, tiny_data, tmp_path, caplog):
    """One epoch more, at another rate: both are what counts from there on."""
    checkpoint = str(tiny_run[1] / "epoch_2")
    settings = {"learning_rate": 0.003, "momentum": 0.5, "allow_changes": True}
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        train(tiny_data, tmp_path, num_epochs=3, resume_checkpoint=checkpoint, **settings)
    assert (
        "Resuming with changes: train.num_epochs was 2 and is 3; train.learning_rate" in caplog.text
    )
    assert {row["lr"] for row in numbers(tmp_path) if row["kind"] == "train"} == {0.003}
    state = torch.load(tmp_path / "epoch_3" / "state.pth", weights_only=True)
    assert {group["momentum"] for group in state["optimizer"]["param_groups"]} == {0.5}


def test_another_optimizer_is_another_run(tiny_run, tiny_data, tmp_path):
    """Also where changes are accepted: momenta of one are not those of another."""
    with pytest.raises(
        ValueError, match="optimizer was the built-in SGD and is AdamW; start a new"
    ):
        train(
            tiny_data, tmp_path, resume_checkpoint=str(tiny_run[1] / "epoch_1"),
            allow_changes=True, optimizer={"name": "AdamW"},
        )  # fmt: skip


@pytest.mark.long
def test_another_length_of_epoch(tiny_run, tiny_shapes, tiny_data, tmp_path):
    """Refused; if accepted, the run goes on after the same epoch."""
    shorter = tiny_shapes("fewer", num_images=8, transforms=TRAIN, shuffle=True)
    checkpoint = str(tiny_run[1] / "epoch_1")
    with pytest.raises(ValueError, match=r"data\.train\.num_samples was 12 and is 8"):
        train((shorter, tiny_data[1]), tmp_path, resume_checkpoint=checkpoint)
    train((shorter, tiny_data[1]), tmp_path, resume_checkpoint=checkpoint, allow_changes=True)
    rows = [(row["kind"], row["epoch"], row["step"]) for row in numbers(tmp_path)]
    assert rows == [("train", 2, 6), ("train", 2, 8), ("eval", 2, 8)]


@pytest.mark.long
def test_early_stop_counts_over_a_resume(tiny_data, tmp_path, monkeypatch, caplog):
    """Patience 2 with one evaluation before the stop and one after it."""
    settings = {"early_stop": True, "early_stop_patience": 2, "learning_rate": 1e-9}
    epochs = {"num_epochs": 8, "warmup_start_lr": 0.0, "lr_decay_epochs": []}
    step = Trainer.run_step

    def is_taken_away(self):
        if self.progress.step == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        step(self)

    monkeypatch.setattr(Trainer, "run_step", is_taken_away)
    with pytest.raises(RunInterruptedError):
        train(tiny_data, tmp_path, **epochs, **settings)
    monkeypatch.undo()
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        train(tiny_data, tmp_path, resume_checkpoint="auto", **epochs, **settings)
        assert "EarlyStopping" in caplog.text
        assert [row["epoch"] for row in numbers(tmp_path) if row["kind"] == "eval"] == [1, 2, 3]
        train(tiny_data, tmp_path, resume_checkpoint="auto", **epochs, **settings)
    assert "Nothing left to do: the run was stopped early after epoch 3" in caplog.text


def test_steps_can_be_saved_too(tiny_data, tmp_path, monkeypatch):
    """The newest state of an epoch; gone when the epoch itself is saved."""
    saved = []
    write = model_directory._replace

    def noted(unfinished, final):
        saved.append(final.name)
        write(unfinished, final)

    monkeypatch.setattr(model_directory, "_replace", noted)
    train(tiny_data, tmp_path, num_epochs=1, save_interval_steps=2)
    assert saved == ["latest", "latest", "epoch_1", "best_model"]
    assert not (tmp_path / "latest").exists()


@pytest.mark.long
def test_keep_last(tiny_data, tmp_path):
    train(tiny_data, tmp_path, num_epochs=2, keep_last=1)
    assert {path.name for path in tmp_path.glob("epoch_*")} == {"epoch_2"}
    assert (tmp_path / "best_model").is_dir()


def test_a_finished_run_says_so(tiny_run, tiny_data, caplog):
    before = weights(tiny_run[1] / "epoch_2")
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        train(tiny_data, tiny_run[1], resume_checkpoint=str(tiny_run[1] / "epoch_2"))
    assert "Nothing left to do: 2 of 2 epochs are done" in caplog.text
    assert same(before, weights(tiny_run[1] / "epoch_2"))


def test_resume_refuses_another_network(tiny_run, tiny_data, tmp_path):
    model = pdx.det.MaskRCNN(num_classes=5, **{**SMALL, "keep_top_k": 11})
    with pytest.raises(ValueError, match=r"model\.keep_top_k was 10 and is 11"):
        model.train(
            2, tiny_data[0], eval_dataset=tiny_data[1], save_dir=str(tmp_path), **FAST,
            resume_checkpoint=str(tiny_run[1] / "epoch_1"),
        )  # fmt: skip


def test_resume_refuses_half_a_checkpoint(tiny_run, tiny_data, tmp_path):
    half = tmp_path / "epoch_1"
    half.mkdir()
    (half / "model.pth").write_bytes((tiny_run[1] / "epoch_1" / "model.pth").read_bytes())
    with pytest.raises(ValueError, match=r"model\.yml is missing"):
        train(tiny_data, tmp_path, resume_checkpoint=str(half))


@pytest.mark.long
def test_auto_resume_leaves_an_earlier_run_alone(tiny_data, tmp_path):
    """A new run of an earlier version, which replaced others, that died before its first save."""
    train(tiny_data, tmp_path, num_epochs=1)
    write_run_id(tmp_path, new_run_id())
    with pytest.raises(ValueError, match="holds the models of an earlier run"):
        train(tiny_data, tmp_path, num_epochs=1, resume_checkpoint="auto")
