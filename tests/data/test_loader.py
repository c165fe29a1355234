import multiprocessing
import os
import time
from itertools import islice

import pytest
import torch

from paddlex_maskrcnn.data.loader import (
    build_loss_loader,
    build_test_loader,
    build_train_loader,
    worker_count,
)
from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.data.transforms import (
    Compose,
    CopyPaste,
    RandomHorizontalFlip,
    ResizeByShort,
)

PIPELINE = Compose([RandomHorizontalFlip(), ResizeByShort([32, 48], 200)])


def train_batches(dataset, count, batch_size=2, **arguments):
    mapper = TrainMapper(PIPELINE, "RGB", 3, 1)
    arguments = {"seed": 1, "num_workers": 0, **arguments}
    return list(
        islice(build_train_loader(dataset, mapper, batch_size=batch_size, **arguments), count)
    )


def digest(batches):
    def of(sample):
        image = sample["image"]
        objects = len(sample["instances"])
        return sample["image_id"], tuple(image.shape), int(image.long().sum()), objects

    return [[of(sample) for sample in batch] for batch in batches]


def test_any_number_of_workers_gives_the_same(tiny_shapes):
    dataset = tiny_shapes(shuffle=True)
    alone = digest(train_batches(dataset, 8))
    assert digest(train_batches(dataset, 8, num_workers=2)) == alone
    assert digest(train_batches(dataset, 8, seed=2)) != alone


def test_the_network_s_random_stream_is_left_alone(tiny_shapes):
    """A resumed run has other loaders started before it, and must draw the same numbers."""
    dataset = tiny_shapes(shuffle=True)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    train_batches(dataset, 8)
    list(build_test_loader(dataset, TestMapper(PIPELINE, "RGB", 3), batch_size=1, num_workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_resuming_continues_with_the_same_images(tiny_shapes):
    dataset = tiny_shapes(shuffle=True)
    assert digest(train_batches(dataset, 9))[5:] == digest(train_batches(dataset, 4, start_step=5))


def test_processes_share_each_batch_between_them(tiny_shapes):
    dataset = tiny_shapes(shuffle=True)
    whole = digest(train_batches(dataset, 5, batch_size=4))
    parts = [digest(train_batches(dataset, 5, batch_size=4, shard=(r, 2))) for r in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert len(first) == len(second) == 2
        assert sorted(first + second) == sorted(batch)
    with pytest.raises(ValueError, match="3 cannot be split between 2 processes"):
        train_batches(dataset, 1, batch_size=3, shard=(0, 2))


def test_order_without_shuffling(tiny_coco):
    ids = [s["image_id"] for batch in train_batches(tiny_coco.open(), 8, 1) for s in batch]
    assert ids == [1, 2, 3, 4, 1, 2, 3, 4]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_testing_sees_each_image_once_in_order(tiny_coco, num_workers, batch_size):
    mapper = TestMapper(PIPELINE, "RGB", 3)
    dataset = tiny_coco.open()
    loader = build_test_loader(dataset, mapper, batch_size=batch_size, num_workers=num_workers)
    ids = [[s["image_id"] for s in batch] for batch in loader]
    assert [i for batch in ids for i in batch] == [1, 2, 3, 4]
    assert all(len(batch) == batch_size for batch in ids[:-1])


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6])
def test_processes_divide_the_test_images(tiny_coco, world):
    """Also more processes than images."""
    mapper, dataset = TestMapper(PIPELINE, "RGB", 3), tiny_coco.open()
    found = [
        [s["image_id"] for batch in build_test_loader(
            dataset, mapper, batch_size=2, num_workers=0, shard=(rank, world)) for s in batch]
        for rank in range(world)
    ]  # fmt: skip
    assert [i for part in found for i in part] == [1, 2, 3, 4]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_names_the_image(tiny_coco, num_workers):
    dataset, mapper = tiny_coco.open(), TestMapper(PIPELINE, "RGB", 3)
    (tiny_coco.data_dir / "2.png").write_bytes(b"damaged after loading")
    loader = build_test_loader(dataset, mapper, batch_size=1, num_workers=num_workers)
    for run in (
        lambda: train_batches(dataset, 4, batch_size=1, num_workers=num_workers),
        lambda: list(loader),
    ):
        with pytest.raises(ValueError, match=r"2\.png' cannot be decoded"):
            run()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_our_own_names_the_image_too(tiny_coco, num_workers):
    class Broken(TrainMapper):
        def __call__(self, record, epoch, index, records):
            raise KeyError("a bug")

    mapper = Broken(PIPELINE, "RGB", 3, 0)
    loader = build_train_loader(
        tiny_coco.open(), mapper, batch_size=1, seed=0, num_workers=num_workers
    )
    with pytest.raises(RuntimeError, match=r"1\.png' cannot be used: 'a bug'"):
        next(iter(loader))


def test_workers_stop_at_once_when_iteration_ends(tiny_coco):
    dataset, mapper = tiny_coco.open(num_workers=2), TrainMapper(PIPELINE, "RGB", 3, 0)
    stopping = 0.0
    for _ in range(3):
        batches = iter(build_train_loader(dataset, mapper, batch_size=1, seed=0))
        next(batches)
        assert multiprocessing.active_children()
        start = time.monotonic()
        del batches
        stopping += time.monotonic() - start
        assert not multiprocessing.active_children()
    assert stopping < 4, "torch gives a process that does not hear five seconds"


def test_the_data_set_decides_on_workers_unless_told(tiny_coco, monkeypatch):
    dataset, mapper = tiny_coco.open(num_workers=3), TestMapper(PIPELINE, "RGB", 3)
    assert build_test_loader(dataset, mapper, batch_size=1).num_workers == 3
    assert build_test_loader(dataset, mapper, batch_size=1, num_workers=0).num_workers == 0
    for cores, expected in [(1, 0), (2, 1), (7, 3), (64, 8)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert worker_count("auto") == expected


def test_the_model_gets_tensors_that_it_may_change(tiny_coco):
    batch = train_batches(tiny_coco.open(), 1)[0]
    batch[0]["image"] += 1
    assert batch[0]["image"].dtype == torch.uint8


def test_a_training_image_brings_its_own_seed(tiny_coco):
    """Another one in each epoch, the same one after every start."""
    mapper = TrainMapper(Compose([ResizeByShort(40)]), "RGB", 3, seed=4)
    seeds = []
    for _ in range(2):
        loader = iter(build_train_loader(tiny_coco.open(), mapper, batch_size=4, seed=4))
        seeds.append([[one["sample_seed"] for one in next(loader)] for _ in range(2)])
    assert seeds[0] == seeds[1]
    assert len({seed for epoch in seeds[0] for seed in epoch}) == 8


def test_images_with_their_objects_once_in_order(tiny_coco):
    mapper = TrainMapper(Compose([ResizeByShort(40)]), "RGB", 3, seed=4)
    dataset = tiny_coco.open()
    parts = [list(build_loss_loader(dataset, mapper, (rank, 3))) for rank in range(3)]
    images = [one for part in parts for batch in part for one in batch]
    alone = [one for batch in build_loss_loader(dataset, mapper) for one in batch]
    assert [one["sample_seed"] for one in images] == [one["sample_seed"] for one in alone]
    assert [one["image_id"] for one in images] == [1, 2, 3, 4]
    assert [len(one["instances"]) for one in images] == [2, 2, 2, 0]


def test_processes_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(32)))
    assert worker_count("auto") == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert worker_count("auto") == 4


@pytest.mark.parametrize("num_workers", [1, 2])
def test_images_that_others_are_pasted_into(tiny_coco, num_workers):
    """A sample that needs a second record is the same with any number of workers."""
    mapper = TrainMapper(Compose([CopyPaste(prob=1.0), ResizeByShort(40)]), "RGB", 3, seed=4)
    dataset, seen = tiny_coco.open(), []
    for workers in (0, num_workers):
        loader = build_train_loader(dataset, mapper, batch_size=2, seed=4, num_workers=workers)
        seen.append([one["image"] for batch in islice(loader, 4) for one in batch])
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
