"""Copies of training samples in other memory."""

import pickle

import numpy as np
import torch

from paddlex_maskrcnn.data.loader import build_loss_loader, build_test_loader, build_train_loader
from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.data.sample_tensors import PinnableBatch, with_tensors
from paddlex_maskrcnn.data.transforms import Compose, Padding, ResizeByShort

PIPELINE = Compose([ResizeByShort(40), Padding(coarsest_stride=32)])


def samples(tiny_coco, **arguments):
    mapper = TrainMapper(PIPELINE, "RGB", 3, seed=4)
    return list(build_loss_loader(tiny_coco.open(), mapper, **arguments))


def test_every_tensor_is_changed_and_all_else_stays(tiny_coco):
    """Boxes, classes, crowd marks and the image; also of an image without objects."""
    for [sample] in samples(tiny_coco):
        before = pickle.dumps(sample)
        seen = []
        found = with_tensors(sample, lambda tensor, seen=seen: seen.append(tensor) or tensor + 1)
        assert pickle.dumps(sample) == before, "the sample itself is as it was"
        objects, changed = sample["instances"], found["instances"]
        assert len(seen) == 3 + objects.has("gt_crowd")
        assert torch.equal(found["image"], sample["image"] + 1)
        assert torch.equal(changed.gt_boxes.tensor, objects.gt_boxes.tensor + 1)
        assert torch.equal(changed.gt_classes, objects.gt_classes + 1)
        assert changed.gt_masks is objects.gt_masks
        assert changed.image_size == objects.image_size
        assert {k: found[k] for k in found.keys() - {"image", "instances"}} == {
            k: sample[k] for k in sample.keys() - {"image", "instances"}
        }
        assert isinstance(found["pad_to"], tuple), "it is a key of a dict when predicting"


def test_the_loader_pins_by_the_batch_s_own_method(tiny_coco, monkeypatch):
    """As torch's thread does it, with the call to CUDA left out."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: pinned.append(t) or t.clone())
    batch = PinnableBatch([one for [one] in samples(tiny_coco)])
    batch = pickle.loads(pickle.dumps(batch))  # on its way from a worker
    found = torch.utils.data._utils.pin_memory.pin_memory(batch)
    assert len(pinned) == 4 * 3 + 1
    assert [one["image_id"] for one in found] == [1, 2, 3, 4]
    test_sample = TestMapper(PIPELINE, "RGB", 3)(np.zeros((40, 40, 3), np.uint8))
    assert len(PinnableBatch([test_sample]).pin_memory()) == 1


def test_loaders_pin_only_when_asked(tiny_coco):
    dataset, train = tiny_coco.open(), TrainMapper(PIPELINE, "RGB", 3, seed=4)
    test = TestMapper(PIPELINE, "RGB", 3)
    for pinned in (False, True):
        loaders = [
            build_train_loader(dataset, train, batch_size=1, seed=0, pinned=pinned),
            build_test_loader(dataset, test, batch_size=1, pinned=pinned),
            build_loss_loader(dataset, train, pinned=pinned),
        ]
        assert {one.pin_memory for one in loaders} == {pinned}
        assert {one.collate_fn is PinnableBatch for one in loaders} == {pinned}
