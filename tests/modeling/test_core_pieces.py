"""Pieces of work on threads of one core each."""

import multiprocessing
import threading

import pytest
import torch

from paddlex_maskrcnn.modeling import core_pieces
from paddlex_maskrcnn.modeling.core_pieces import for_each


@pytest.fixture(params=[1, 3], ids=lambda n: f"{n} threads")
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_piece_is_done_once(threads, count):
    out = torch.zeros(count)

    def add(place):
        out[place] += place + 1

    for_each(add, range(count))
    assert out.tolist() == [place + 1 for place in range(count)]


def test_each_piece_has_one_core_and_the_caller_keeps_all(threads):
    seen = []
    for_each(lambda _: seen.append(torch.get_num_threads()), range(6))
    assert seen == [1] * 6
    assert torch.get_num_threads() == threads


def test_threads_that_start_later_have_all_cores(threads):
    for_each(lambda _: None, range(2))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [threads]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_pieces_write_into_tensors_of_the_callers_mode(threads, mode):
    weight = torch.ones(3, requires_grad=True)
    with mode():
        out = torch.zeros(4, 3)

        def fill(place):
            out[place] = weight * place

        for_each(fill, range(4))
    assert not out.requires_grad
    assert out.sum() == 18


def test_pieces_know_no_autocast(threads):
    """torch keeps it for each thread, so that those of the pool never have it."""
    out = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for_each(lambda _: out.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype), range(4))
    assert out == [torch.float32] * 4


def test_a_thread_that_cannot_start(monkeypatch):
    """Those that have started end, and later threads still have all cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(core_pieces, "_pools", {})
    start, started = threading.Thread.start, []

    def begin(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", begin)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                for_each(lambda _: None, range(4))
        for thread in started:
            thread.join(timeout=20)
            assert not thread.is_alive()
        test_threads_that_start_later_have_all_cores(3)
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_piece_reaches_the_caller(threads):
    def fail(place):
        if place == 2:
            raise ValueError("piece 2")

    with pytest.raises(ValueError, match="piece 2"):
        for_each(fail, range(4))


def _in_child(queue):
    out = torch.zeros(4)

    def fill(place):
        out[place] = place

    core_pieces.for_each(fill, range(4))
    queue.put(out.sum().item())


def test_a_forked_process_has_threads_of_its_own(threads):
    """It inherits a pool without the threads in it, and would wait for these forever."""
    for_each(lambda _: None, range(2))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=20) == 6
    finally:
        child.kill()
        child.join()
