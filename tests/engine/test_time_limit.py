"""The time of a run: when it is up, and what is left then."""

import logging
from types import SimpleNamespace

import pytest
import torch

from paddlex_maskrcnn.engine import hooks, time_limit
from paddlex_maskrcnn.engine.hooks import EpochEnd
from paddlex_maskrcnn.engine.time_limit import TimeLimit
from support.tiny_training import numbers, same, train, weights


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def steps_within(minutes, *, step, evaluation=0.0, every=0, **facts):
    """Steps that are taken, and seconds until the last evaluation has ended."""
    clock = Clock()
    limit = TimeLimit(minutes, clock=clock, **facts)
    first = facts.get("first_step", 0)
    for done in range(first + 1, first + 1000):
        clock.seconds += step
        if limit.is_reached(done):
            break
        if every and done % every == 0:
            with limit.evaluation():
                clock.seconds += evaluation
            if limit.is_reached(done):
                return done - first, clock.seconds
    return done - first, clock.seconds + evaluation


def test_without_a_limit_it_is_never_up():
    assert steps_within(None, step=1e9) == (999, pytest.approx(999e9))


def test_the_last_step_ends_in_time():
    assert steps_within(1, step=7) == (8, 56)
    assert steps_within(1, step=7, first_step=500) == (8, 56)
    assert steps_within(1, step=90) == (1, 90), "a step is taken in any case"


def test_an_evaluation_that_was_timed_has_its_time():
    steps, seconds = steps_within(1, step=1, evaluation=10, every=10)
    assert (steps, seconds) == (30, 60), "after the third evaluation no step would be evaluated"
    assert steps_within(1, step=1, evaluation=10, every=35) == (40, 60)


def test_an_evaluation_that_was_never_timed_is_taken_to_be_as_slow_as_training():
    steps, seconds = steps_within(1, step=2, batch_size=4, held_out=20, evaluation=10)
    assert (steps, seconds) == (25, 60)
    many = steps_within(1, step=2, held_out=10_000)
    assert many == (15, 30), "half of the time is for training at least"


def test_the_main_process_decides(monkeypatch):
    monkeypatch.setattr(time_limit, "from_main", lambda value: not value)
    assert TimeLimit(1, clock=Clock()).is_reached(1)


def up_at(monkeypatch, step):
    monkeypatch.setattr(
        TimeLimit, "is_reached", lambda self, done: self.minutes is not None and done >= step
    )


def evaluations(save_dir):
    return [row["step"] for row in numbers(save_dir) if row["kind"] == "eval"]


@pytest.mark.long
def test_a_run_that_ends_within_an_epoch_is_evaluated_and_goes_on_exactly(
    tiny_run, tiny_data, tmp_path, monkeypatch, caplog
):
    up_at(monkeypatch, 9)
    with caplog.at_level(logging.INFO):
        model = train(tiny_data, tmp_path, max_minutes=5, save_interval_epochs=2)
    assert "of at most 5 minutes (max_minutes), at step 9 of 12; --resume" in caplog.text
    assert evaluations(tmp_path) == [9]
    assert same(weights(tmp_path / "best_model"), weights(tmp_path / "latest"))
    assert model.network.card.eval_metrics == model.best_evaluation.metrics
    torch.manual_seed(123)
    train(tiny_data, tmp_path, resume_checkpoint="auto", save_interval_epochs=2)
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert evaluations(tmp_path) == [12], "as of a run that never ended"
    assert not (tmp_path / "latest").exists()


def epoch_end(limit, tmp_path, values, patience=None):
    """Ends of an epoch of four steps whose evaluations give these values in turn."""
    saved, results = [], iter(values)

    def evaluate():
        table = SimpleNamespace(ap50=0, by_class={})
        value = {"segm_mmap": next(results)}
        found = SimpleNamespace(metrics=value, bbox=table, segm=table, table=str)
        return hooks.EpochResult(found, {}, write_details=lambda path: None)

    checkpoints = SimpleNamespace(
        save_dir=tmp_path,
        save=lambda name, details: saved.append(name),
        copy=lambda source, name: saved.append((source, name)),
        remove=lambda name: None,
    )
    best = hooks.Best()
    hook = EpochEnd(
        checkpoints, interval=2, best=best, best_metric="segm", evaluate=evaluate,
        metrics=SimpleNamespace(write=lambda *row: None), patience=patience, limit=limit,
    )  # fmt: skip
    progress = SimpleNamespace(
        step=0, total_steps=12, epoch=1, closed_epochs=0, epoch_is_done=False
    )
    card = SimpleNamespace(completed_epochs=0, eval_metrics=None)
    hook.trainer = SimpleNamespace(
        progress=progress, network=SimpleNamespace(card=card), stop_reason="",
        check_weights=lambda: None,
    )  # fmt: skip
    return hook, saved, best


@pytest.mark.parametrize(
    ("value", "written", "waited"),
    [(0.6, ["latest", ("latest", "best_model")], 0), (0.4, ["latest"], 0)],
)
def test_patience_counts_whole_epochs(tmp_path, monkeypatch, value, written, waited):
    hook, saved, best = epoch_end(TimeLimit(5), tmp_path, [0.5, value], patience=1)
    progress = hook.trainer.progress
    progress.step, progress.epoch_is_done, progress.epoch = 8, True, 2
    hook.after_step()
    saved.clear()
    up_at(monkeypatch, 9)
    progress.step, progress.epoch_is_done, progress.epoch = 9, False, 3
    hook.after_step()
    assert saved == written
    assert (best.value, best.waited) == (max(0.5, value), waited)
    assert progress.closed_epochs == 2
    assert hook.trainer.stop_reason.startswith("Stop training after")


def test_an_epoch_at_whose_end_time_is_up_is_saved_whatever_the_interval(tmp_path, monkeypatch):
    hook, saved, _ = epoch_end(TimeLimit(5), tmp_path, [0.5])
    up_at(monkeypatch, 4)
    progress = hook.trainer.progress
    progress.step, progress.epoch_is_done = 4, True
    hook.after_step()
    assert saved == ["epoch_1", ("epoch_1", "best_model")]
    assert hook.trainer.stop_reason


def test_the_last_step_of_a_run_needs_no_reason(tmp_path, monkeypatch):
    up_at(monkeypatch, 1)
    hook, saved, _ = epoch_end(TimeLimit(5), tmp_path, [0.5])
    progress = hook.trainer.progress
    progress.step, progress.epoch_is_done = 12, True
    hook.after_step()
    assert saved == ["epoch_1", ("epoch_1", "best_model")]
    assert hook.trainer.stop_reason == ""
