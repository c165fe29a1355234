"""What a trial measures, and that nothing of it is left."""

import itertools

import pytest
import torch

from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.engine import trial
from paddlex_maskrcnn.engine.setup import set_up
from paddlex_maskrcnn.engine.train import dry_run
from paddlex_maskrcnn.engine.trainer import Trainer
from paddlex_maskrcnn.engine.trial import Pace, largest_batch, measure_pace, per_step, trimmed_mean
from paddlex_maskrcnn.errors import OutOfMemoryError, TrainingTroubleError
from support.tiny_training import FAST, SMALL, same

STEP, IMAGE = 0.5, 0.25


@pytest.fixture
def new_run(tiny_data, tmp_path):
    """Builds a run of two steps; nothing of it is written."""

    def build(**settings):
        train, held_out = tiny_data
        params = {**FAST, "train_batch_size": 6, "num_epochs": 1, "lr_decay_epochs": [], **settings}
        model = ModelParams(num_classes=len(train.labels) + 1, device="cpu", **SMALL)
        data = {
            "train_dataset": train,
            "eval_dataset": held_out,
            "save_dir": str(tmp_path / "never"),
        }
        return set_up(model, TrainParams(**{**data, **params}), train, held_out, writes=False)

    return build


def state_of(run):
    return {name: tensor.clone() for name, tensor in run.network.module.state_dict().items()}


def test_a_run_after_a_trial_is_the_one_without(new_run, tmp_path):
    settings = {"train_batch_size": 2, "ema": 0.9, "warmup_steps": 0, "learning_rate": 0.01}
    tried = new_run(**settings)
    start = state_of(tried)
    pace = measure_pace(tried, seconds=1e-9)
    assert all(value > 0 for value in (pace.seconds_per_step, pace.seconds_per_image))
    assert pace.memory_mb > 100
    assert tried.progress.step == 3, "the least there is: two slow ones and one"
    trained = {name for name, _ in tried.network.module.named_parameters()}
    moved = {name for name, value in state_of(tried).items() if not value.equal(start[name])}
    assert not moved & trained, "steps of any rate could make a trial diverge"
    after = new_run(**settings)
    report = dry_run(after)
    without = new_run(**settings)
    assert dry_run(without).loss == report.loss
    assert same(state_of(without), state_of(after))
    assert not same(start, state_of(after))
    assert not (tmp_path / "never").exists()


class FakeClock:
    """Time that passes in steps and evaluations only."""

    def __init__(self, monkeypatch):
        self.seconds = 0.0
        monkeypatch.setattr(trial.time, "perf_counter", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch):
    """Steps take half a second, the first ones four; images a quarter, the first one two."""
    clock, steps = FakeClock(monkeypatch), itertools.count()

    def step(trainer):
        next(trainer._batches)
        clock.seconds += 4.0 if next(steps) < 2 else STEP
        trainer.progress.step += 1

    def images(network, dataset, *_):
        assert not network.module.training
        for number in range(dataset.num_samples):
            clock.seconds += IMAGE if number else 2.0
            yield []

    monkeypatch.setattr(Trainer, "run_step", step)
    monkeypatch.setattr(trial, "rows_of_images", images)
    return clock


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 3), (1, 4), (9, 5), (11, 8), (1000, 22)])
def test_steps_go_on_until_the_time_is_up_or_there_are_enough(new_run, clock, seconds, steps):
    run = new_run()
    pace = measure_pace(run, seconds)
    assert run.progress.step == steps
    # every batch here has the same size or nearly; the slow ones do not count
    assert pace.seconds_per_step == pytest.approx(STEP, rel=0.2)
    assert pace.seconds_per_image == IMAGE


def test_without_held_out_data_no_image_is_evaluated(new_run, clock):
    run = new_run()
    run.eval_dataset = None
    assert measure_pace(run, 9).seconds_per_image == 0


def test_of_several_processes_the_slowest_counts(new_run, clock, monkeypatch):
    monkeypatch.setattr(trial, "shard", lambda: (0, 2))
    monkeypatch.setattr(trial, "to_main", lambda rows: [*rows, (7.0, 0.0, 1.0)])
    pace = measure_pace(new_run(), 9)
    assert pace.seconds_per_step == 7
    assert pace.seconds_per_image == IMAGE / 2, "each of them evaluates half of the images"
    assert pace.memory_mb > 1


def test_the_size_of_images_is_taken_into_account():
    ends = [0, 9, 10, 11, 13]  # a step of 1 pixel in 1 s, one of 2 pixels in 2 s
    assert per_step(ends, [50, 50, 1, 2]) == pytest.approx(103 / 4)
    assert per_step(ends, [3, 3, 1, 2, 6]) == pytest.approx(3)


def test_what_another_program_has_disturbed_is_left_out():
    assert trimmed_mean([1.0] * 7 + [100]) == 1
    assert trimmed_mean([1, 2, 6]) == 3


class Loader:
    """A pipeline of two processes that have some batches ready."""

    def __init__(self, clock, ready, seconds):
        self.clock, self.ready, self.seconds = clock, ready, seconds

    def __iter__(self):
        return self

    def __next__(self):
        if self.ready:
            self.ready -= 1
        else:
            self.clock.seconds += self.seconds
        return []


def test_loading_is_timed_without_what_was_ready(monkeypatch):
    clock = FakeClock(monkeypatch)
    for ready, workers, seconds, expected in ((8, 2, 9, 0.01), (0, 2, 0, 0.01), (8, 0, 9, 0)):
        loader = Loader(clock, ready, 0.01)
        measured = trial._seconds_of_loading(loader, workers, seconds=seconds)
        assert measured == pytest.approx(expected)


def test_loading_that_is_slower_than_the_steps_sets_the_pace(new_run, clock, monkeypatch):
    monkeypatch.setattr(trial, "_seconds_of_loading", lambda *_: 3.0)
    assert measure_pace(new_run(), 9).seconds_per_step == 3


def full_above(size, tried):
    def measure(batch):
        tried.append(batch)
        if batch > size:
            raise OutOfMemoryError("full")
        return Pace(batch, 0.0, 0.0)

    return measure


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(
        trial, "_free_memory", lambda: None
    )  # slow among the objects of other tests


@pytest.mark.usefixtures("quick")
def test_the_batch_is_halved_until_it_fits():
    tried = []
    assert largest_batch(12, full_above(5, tried)) == (3, Pace(3, 0.0, 0.0))
    assert tried == [12, 6, 3]
    assert largest_batch(4, full_above(5, [])) == (4, Pace(4, 0.0, 0.0))


@pytest.mark.usefixtures("quick")
def test_what_does_not_fit_at_all_or_is_another_trouble_is_told(monkeypatch):
    with pytest.raises(OutOfMemoryError, match="full"):
        largest_batch(8, full_above(0, []))

    def dead(batch):
        raise TrainingTroubleError("dead")

    with pytest.raises(TrainingTroubleError, match="dead"):
        largest_batch(8, dead)
    tried = []
    monkeypatch.setattr(trial, "shard", lambda: (0, 2))
    with pytest.raises(OutOfMemoryError):
        largest_batch(8, full_above(2, tried))
    assert tried == [8]


def test_full_memory_in_a_trial_is_such_an_error(new_run, monkeypatch):
    def full(self, batch):
        raise torch.cuda.OutOfMemoryError("Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Trainer, "_backward", full)
    with pytest.raises(OutOfMemoryError, match="not enough memory for step 1: 6 images"):
        measure_pace(new_run(), 9)
