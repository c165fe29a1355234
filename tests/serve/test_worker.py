"""The model's thread: what runs together, what is not run at all, and failures."""

import threading
import time

import numpy as np
import pytest
import torch

from paddlex_maskrcnn.inference.predict import PredictOptions
from paddlex_maskrcnn.serve.worker import ModelMemoryError, Worker

OPTIONS = PredictOptions()


class Model:
    """Computes when it is allowed to, and remembers the batches."""

    def __init__(self):
        self.allowed = threading.Event()
        self.began = threading.Event()
        self.batches = []
        self.error = None

    def __call__(self, images, options):
        self.began.set()
        assert self.allowed.wait(10)
        self.batches.append([int(image[0, 0]) for image in images])
        if self.error is not None:
            raise self.error(images)
        return [[int(image[0, 0])] for image in images]


def image(number, size=(2, 2)):
    return np.full(size, number, np.uint8)


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def worker(model):
    worker = Worker(model, lambda: None, batch_size=3)
    worker.start()
    yield worker
    model.allowed.set()
    worker.stop(10)


def submit_while_busy(worker, model, jobs):
    """The first job runs when the others come."""
    first = worker.submit(image(0), OPTIONS)
    assert model.began.wait(10)
    futures = [worker.submit(*job) for job in jobs]
    return [first, *futures]


def results(futures):
    return [future.result(10).objects for future in futures]


def test_what_waits_runs_together(worker, model):
    """By shape and options, oldest first, as many as the batch size allows."""
    other = PredictOptions(score_threshold=0.5)
    jobs = [
        (image(1), OPTIONS),
        (image(2, (3, 2)), OPTIONS),
        (image(3), other),
        *((image(number), OPTIONS) for number in (4, 5, 6)),
    ]
    futures = submit_while_busy(worker, model, jobs)
    assert worker.waiting == 6
    model.allowed.set()
    assert results(futures) == [[number] for number in range(7)]
    assert model.batches == [[0], [1, 4, 5], [2], [3], [6]]
    assert worker.waiting == 0


def test_what_is_cancelled_is_not_computed(worker, model):
    futures = submit_while_busy(worker, model, [(image(n), OPTIONS) for n in (1, 2, 3)])
    assert not futures[0].cancel()
    assert futures[2].cancel()
    assert worker.waiting == 2
    model.allowed.set()
    assert results([*futures[:2], futures[3]]) == [[0], [1], [3]]
    assert model.batches == [[0], [1, 3]]


def test_stopping_finishes_what_waits(worker, model):
    futures = submit_while_busy(worker, model, [(image(1), OPTIONS)])
    model.allowed.set()
    worker.stop(10)
    assert results(futures) == [[0], [1]]


def test_one_bad_image_spares_the_others(worker, model):
    def error(images):
        return KeyError("bad") if any(image[0, 0] == 2 for image in images) else None

    def compute(images, options):
        found = Model.__call__(model, images, options)
        if error(images):
            raise error(images)
        return found

    worker._compute = compute
    futures = submit_while_busy(worker, model, [(image(n), OPTIONS) for n in (1, 2, 3)])
    model.allowed.set()
    with pytest.raises(KeyError):
        futures[2].result(10)
    assert results([*futures[:2], futures[3]]) == [[0], [1], [3]]
    assert model.batches == [[0], [1, 2, 3], [1], [2], [3]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmore"),
        MemoryError("no"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory(worker, model, monkeypatch, error):
    """The cache is emptied, larger batches are divided, and the next image is computed."""
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    model.error = lambda images: error
    model.allowed.set()
    with pytest.raises(ModelMemoryError) as told:
        worker.submit(image(1), OPTIONS).result(10)
    assert "\n" not in str(told.value)
    assert emptied == [1]
    model.error = None
    assert worker.submit(image(2), OPTIONS).result(10).objects == [2]
    assert worker.trouble is None


def test_a_broken_gpu_is_trouble_for_good(worker, model):
    model.error = lambda images: RuntimeError("CUDA error: an illegal memory access\nCUDA kernel")
    futures = submit_while_busy(worker, model, [(image(n), OPTIONS) for n in (1, 2)])
    model.allowed.set()
    for future in futures:
        with pytest.raises(RuntimeError):
            future.result(10)
    assert worker.trouble == (
        "the GPU does not answer any more: CUDA error: an illegal memory access"
    )
    assert model.batches == [[0], [1, 2]]


def test_the_warm_up_comes_first_and_in_the_same_thread(model):
    threads = []
    model.allowed.set()
    worker = Worker(model, lambda: threads.append(threading.current_thread()), batch_size=1)
    assert not worker.ready
    worker.start()
    worker.submit(image(1), OPTIONS).result(10)
    assert worker.ready
    assert [thread.name for thread in threads] == ["model"]
    worker.stop(10)


def test_a_warm_up_that_fails(model):
    def warm_up():
        raise RuntimeError("no kernel")

    worker = Worker(model, warm_up, batch_size=1)
    worker.start()
    worker.stop(10)
    assert not worker.ready
    assert "no kernel" in worker.trouble


def test_the_time_to_wait_follows_the_pace(worker, model):
    assert worker.wait == 1
    worker.pace = 1.6
    submit_while_busy(worker, model, [(image(n), OPTIONS) for n in (1, 2)])
    assert worker.wait == 5


def test_what_is_late_is_not_computed(worker, model):
    """Its request was answered long ago, even if nothing cancelled it."""
    first = worker.submit(image(0), OPTIONS)
    assert model.began.wait(10)
    late = worker.submit(image(1), OPTIONS, end=time.monotonic() - 1)
    soon = worker.submit(image(2), OPTIONS, end=time.monotonic() + 60)
    model.allowed.set()
    assert results([first, soon]) == [[0], [2]]
    assert late.cancelled()
    assert model.batches == [[0], [2]]


def test_a_batch_that_fails_is_not_tried_again_for_those_who_are_late(worker, model):
    futures = submit_while_busy(worker, model, [])
    end = time.monotonic() + 0.3
    futures += [worker.submit(image(k), OPTIONS, end=end) for k in (1, 2)]

    def slow_failure(images):
        time.sleep(0.4 if len(images) > 1 else 0)
        return ValueError("bad")

    model.error = slow_failure
    model.allowed.set()
    for future in futures[1:]:
        assert isinstance(future.exception(10), TimeoutError)
    assert model.batches == [[0], [1, 2]]


def test_tiles_that_run_together_are_limited(model):
    """Three images of two tiles, of which no more than five run at a time; one image is never cut."""
    worker = Worker(model, lambda: None, batch_size=3, most_tiles=5)
    worker.start()
    first = worker.submit(image(0), OPTIONS)
    assert model.began.wait(10)
    futures = [worker.submit(image(k), OPTIONS, num_tiles=2) for k in (1, 2, 3)]
    futures.append(worker.submit(image(4), OPTIONS, num_tiles=9))
    model.allowed.set()
    assert results([first, *futures]) == [[0], [1], [2], [3], [4]]
    assert model.batches == [[0], [1, 2], [3], [4]]
    worker.stop(10)


def test_a_run_that_does_not_end_is_trouble_until_it_ends(model):
    worker = Worker(model, lambda: None, batch_size=3, longest_run=0.05)
    worker.start()
    future = worker.submit(image(0), OPTIONS)
    assert model.began.wait(10)
    time.sleep(0.1)
    assert worker.trouble == "a run of the network has taken more than 0.05 seconds"
    model.allowed.set()
    assert future.result(10).objects == [0]
    worker.stop(10)
    assert worker.trouble is None
