"""Batches that travel one step ahead: order, errors, the end, and memory shared by streams."""

import contextlib

import pytest
import torch
from detectron2.structures import Boxes, Instances

from paddlex_maskrcnn.engine import train as train_module
from paddlex_maskrcnn.engine.device import Prefetcher, SideStream, on_device
from paddlex_maskrcnn.engine.setup import TrainingRun
from paddlex_maskrcnn.errors import TrainingTroubleError
from support.tiny_training import numbers, same, train, weights


def batch(number):
    objects = Instances((2, 3))
    objects.gt_boxes = Boxes(torch.full((2, 4), float(number)))
    objects.gt_classes = torch.tensor([0, number])
    objects.note = ["as it is", number]
    return [{"image": torch.full((3, 2, 3), number), "image_id": number, "instances": objects}]


class Lane:
    """Writes down what happens; a device without room for some batches."""

    def __init__(self, log, too_large=()):
        self.log, self.too_large = log, too_large

    def send(self, batch):
        number = batch[0]["image_id"]
        if number in self.too_large:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.log.append(f"send {number}")

        def receive():
            self.log.append(f"receive {number}")
            return [{**one, "sent": True} for one in batch]

        return receive


def loader(log, count=4, error=None):
    try:
        for number in range(count):
            log.append(f"load {number}")
            yield batch(number)
        if error:
            raise error
    finally:
        log.append("closed")


def test_each_batch_is_sent_one_step_ahead_in_order():
    log = []
    ahead = Prefetcher(loader(log), Lane(log), count=3)
    assert log == []
    seen = []
    for _ in range(3):
        seen.append(next(ahead)[0])
        log.append("step")
    assert [one["image_id"] for one in seen] == [0, 1, 2]
    assert all(one["sent"] for one in seen)
    assert log == [
        "load 0", "send 0", "receive 0", "load 1", "send 1", "step",
        "receive 1", "load 2", "send 2", "step",
        "receive 2", "step",
    ]  # fmt: skip


def test_more_than_announced_is_not_lost():
    log = []
    ahead = Prefetcher(loader(log, 3), Lane(log), count=1)
    assert [one[0]["image_id"] for one in ahead] == [0, 1, 2]
    assert log[-1] == "closed"


def test_an_error_comes_with_the_step_that_lacks_its_batch():
    log = []
    ahead = Prefetcher(loader(log, 2, ValueError("image 'x.png' is damaged")), Lane(log), count=9)
    assert [next(ahead)[0]["image_id"] for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match=r"x\.png' is damaged"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


def test_a_key_stroke_is_not_kept():
    ahead = Prefetcher(loader([], 1, KeyboardInterrupt()), Lane([]), count=9)
    with pytest.raises(KeyboardInterrupt):
        next(ahead)


def test_a_batch_without_room_stays_on_the_host_for_its_own_step_to_report():
    ahead = Prefetcher(loader([], 3), Lane([], too_large={1}), count=3)
    assert ["sent" in one[0] for one in ahead] == [True, False, True]


@pytest.mark.parametrize("fails", [False, True])
def test_the_loader_stops_at_the_end_whatever_happens(fails):
    log = []
    with contextlib.suppress(KeyError), on_device(loader(log), torch.device("cpu"), 4) as batches:
        next(batches)
        if fails:
            raise KeyError
    assert log == ["load 0", "closed"]


def test_closing_stops_the_loader_and_needs_none_that_can_be_closed():
    log = []
    ahead = Prefetcher(loader(log), Lane(log), count=4)
    next(ahead)
    ahead.close()
    assert log[-1] == "closed"
    with on_device(iter([1]), torch.device("cpu"), 1) as batches:
        assert list(batches) == [1]


def test_a_cpu_gets_the_loader_itself():
    batches = loader([])
    with on_device(batches, torch.device("cpu"), 4) as found:
        assert found is batches


class FakeStream:
    """What `SideStream` asks of CUDA, written down."""

    def __init__(self, log):
        self.log = log

    def wait_stream(self, other):
        self.log.append("wait")

    def __enter__(self):
        self.log.append("side")

    def __exit__(self, *_):
        self.log.append("main")


def test_copies_run_on_the_side_and_memory_is_kept_for_the_step(monkeypatch):
    """The calls to CUDA, on a machine without: where copies run, who waits, what is recorded."""
    log, recorded = [], []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(log))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream(log))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda t, _: recorded.append(t))
    receive = SideStream(torch.device("cpu")).send(batch(5))
    assert log == ["side", "main"]
    [found] = receive()
    assert log == ["side", "main", "wait"]
    assert len(recorded) == 3
    assert recorded[0] is found["image"]
    assert found["instances"].gt_classes.tolist() == [0, 5]
    assert found["instances"].note == ["as it is", 5]


@pytest.fixture
def sent_ahead(monkeypatch):
    """Runs on the CPU whose batches go through a prefetcher; the log of its lane."""
    log = []

    @contextlib.contextmanager
    def ahead(batches, device, count):
        prefetcher = Prefetcher(batches, Plain(log), count)
        try:
            yield prefetcher
        finally:
            prefetcher.close()

    monkeypatch.setattr(train_module, "on_device", ahead)
    return log


class Plain:
    """A lane that only counts."""

    def __init__(self, log):
        self.log = log

    def send(self, batch):
        self.log.append([one["image_id"] for one in batch])
        return lambda: batch


@pytest.mark.long
def test_a_run_and_its_resume_see_the_same_batches(tiny_run, tiny_data, tmp_path, sent_ahead):
    """Bit for bit, although a batch was ahead when the first part ended; none is sent in vain."""
    train(tiny_data, tmp_path, num_epochs=1)
    assert len(sent_ahead) == 6
    train(tiny_data, tmp_path, resume_checkpoint="auto", allow_changes=True)
    assert len(sent_ahead) == 12
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))
    assert numbers(tiny_run[1]) == numbers(tmp_path)


def test_trouble_of_a_data_process_is_told_at_its_step(
    tiny_data, tmp_path, sent_ahead, monkeypatch
):
    def dies(self, batches=TrainingRun.batches):
        inner = batches(self)
        yield next(inner)
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(TrainingRun, "batches", dies)
    with pytest.raises(TrainingTroubleError, match="a process that loads images was killed"):
        train(tiny_data, tmp_path, num_epochs=1)
    assert len(sent_ahead) == 1
    state = torch.load(tmp_path / "latest" / "state.pth", weights_only=False)
    assert state["step"] == 1, "the step whose batch was there is done and saved"


@pytest.mark.gpu
def test_on_a_gpu():
    with on_device(loader([]), torch.device("cuda"), 4) as batches:
        for number, found in enumerate(batches):
            assert found[0]["image"].is_cuda
            assert found[0]["instances"].gt_boxes.device.type == "cuda"
            assert (found[0]["image"] == number).all()
