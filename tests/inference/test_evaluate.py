"""Evaluation of a network that finds what the test says, over a drawn data set."""

import contextlib
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.data.transforms import Compose, Normalize, ResizeByShort
from paddlex_maskrcnn.inference.evaluate import evaluate_network
from paddlex_maskrcnn.inference.network import ModelCard, Network
from paddlex_maskrcnn.metrics.evaluation import without_nan
from paddlex_maskrcnn.modeling.box_predictor import PaddleXBoxPredictor
from paddlex_maskrcnn.weights.input_format import InputFormat

TRANSFORMS = Compose([Normalize(), ResizeByShort(64, 96)])


class Predictor(torch.nn.Module):
    """With the threshold of our box predictor, which may be another one for a while."""

    test_score_thresh = 0.05
    test_nms_thresh, nms_sigma, test_topk_per_image = 0.5, 0.5, -1
    nms_settings = PaddleXBoxPredictor.nms_settings


class Heads(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.box_predictor = Predictor()


class Finds(torch.nn.Module):
    """Finds the annotated boxes of each image, the k-th with score 0.9 - k / 10, or as told."""

    def __init__(self, dataset, score=lambda k: 0.9 - k / 10, move=0, label=lambda c: c):
        super().__init__()
        self.roi_heads, self.anything = Heads(), torch.nn.Parameter(torch.zeros(1))
        self._records = {one["image_id"]: one for one in dataset.records}
        self._score, self._move, self._label = score, move, label

    def inference(self, inputs, do_postprocess):
        return [self._found(one) for one in inputs]

    def _found(self, one):
        height, width = one["image"].shape[1:]
        objects = self._records[one["image_id"]]["annotations"]
        scores = torch.tensor([self._score(k) for k in range(len(objects))])
        kept = (scores > self.roi_heads.box_predictor.nms_settings.score_threshold).tolist()
        objects = [o for o, keep in zip(objects, kept, strict=True) if keep]
        found = Instances((height, width))
        boxes = torch.tensor([o["bbox"] for o in objects]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scale = torch.tensor([width / one["width"], height / one["height"]])
        found.pred_boxes = Boxes((boxes + self._move) * scale.repeat(2))
        found.scores = scores[kept] if len(objects) else torch.zeros(0)
        found.pred_classes = torch.tensor([self._label(o["category_id"]) for o in objects]).long()
        found.pred_masks = torch.ones(len(objects), 1, 28, 28)
        return found


def network(dataset, **how):
    card = ModelCard(
        params=ModelParams(num_classes=1 + len(dataset.labels)),
        labels=dataset.labels,
        category_ids=dataset.category_ids,
        input_format=InputFormat("RGB", (0.0,) * 3, (1.0,) * 3),
        pretrained=False,
    )
    return Network(Finds(dataset, **how), card)


@pytest.fixture
def held_out(tiny_shapes):
    return tiny_shapes("val")


def test_numbers_do_not_depend_on_batch_size(held_out):
    first = evaluate_network(network(held_out), held_out, TRANSFORMS)
    assert first.bbox.ap > 0.9
    assert set(first.metrics) == {"bbox_mmap", "segm_mmap"}
    found = evaluate_network(network(held_out), held_out, TRANSFORMS, batch_size=5, metric="VOC")
    assert set(found.metrics) == {"bbox_map", "segm_map"}
    assert list(found.results) == list(first.results)
    for kind in ("bbox", "segm"):
        numbers, others = (without_nan(asdict(getattr(one, kind))) for one in (found, first))
        assert numbers == others


def test_details_and_files(held_out, tmp_path):
    found = evaluate_network(network(held_out), held_out, TRANSFORMS)
    details = found.details(held_out)
    assert len(details["bbox"]) == len(details["mask"]) == len(found.results)
    for (image, category, box, score), mask, row in zip(
        details["bbox"], details["mask"], found.results, strict=True
    ):
        assert (image, category, box, score) == tuple(
            row[key] for key in ("image_id", "category_id", "bbox", "score")
        )
        assert mask[:2] + mask[3:] == [image, category, score]
        assert mask[2].sum() == coco_mask.area(row["segmentation"])
    found.write(tmp_path, held_out)
    for kind in ("bbox", "segm"):
        rows = json.loads((tmp_path / f"{kind}_results.json").read_text())
        assert rows == found.results.of_kind(kind)
        held_out.coco_gt.loadRes(rows)
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["segm_mmap"] == found.segm.ap == numbers["segm"]["ap"]
    written = json.loads((tmp_path / "eval_details.json").read_text())
    assert set(written) == {"bbox", "mask", "gt"}
    coco = COCO()
    coco.dataset = written["gt"]
    coco.createIndex()
    assert len(coco.anns) == len(held_out.coco_gt.anns)
    for key, kind in (("bbox", "bbox"), ("mask", "segm")):
        assert written[key] == found.results.of_kind(kind)


@pytest.mark.parametrize("move", [0, 3.4, -2.7])
def test_maps_of_details_at_their_box_give_what_was_reported(held_out, move):
    """By pycocotools, over the edge of some images too."""
    moved = network(held_out, move=move)
    found = evaluate_network(moved, held_out, TRANSFORMS)
    details = found.details(held_out)
    rows, sizes = [], {r["image_id"]: (r["height"], r["width"]) for r in held_out.records}
    for (image, category, (x, y, w, h), score), (*_, bits, _) in zip(
        details["bbox"], details["mask"], strict=True
    ):
        assert bits.shape == (math.ceil(y + h) - math.floor(y), math.ceil(x + w) - math.floor(x))
        whole = np.zeros(sizes[image], np.uint8, order="F")
        whole[math.floor(y) :, math.floor(x) :][: len(bits), : bits.shape[1]] = bits
        mask = coco_mask.encode(whole)
        rows.append(
            {"image_id": image, "category_id": category, "segmentation": mask, "score": score}
        )
    judge = COCOeval(held_out.coco_gt, held_out.coco_gt.loadRes(rows), "segm")
    with contextlib.redirect_stdout(None):
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    assert judge.stats[0] == pytest.approx(found.segm.ap, abs=1e-9)
    for row, original in zip(rows, found.results, strict=True):
        assert row["segmentation"]["counts"].decode() == original["segmentation"]["counts"]


def test_tables(held_out):
    found = evaluate_network(network(held_out), held_out, TRANSFORMS)
    assert f"{found.segm.ap:.4f}" in found.table()
    assert len(found.class_table("bbox").splitlines()) == 1 + len(held_out.labels)


def test_the_training_mode_comes_back(held_out):
    one = network(held_out)
    for training in (True, False):
        one.set_training(training)
        evaluate_network(one, held_out, TRANSFORMS)
        assert one.module.training == training


def test_nothing_above_the_threshold(held_out, caplog):
    one = network(held_out, score=lambda k: 0.03125)
    one.set_training(True)
    found = evaluate_network(one, held_out, TRANSFORMS)
    assert found.segm.ap == 0
    assert "no detection scored above score_threshold 0.05" in found.note
    assert "the highest score in 8 images is 0.0312" in found.note
    assert found.note in caplog.text
    assert one.module.training
    assert one.module.roi_heads.box_predictor.test_score_thresh == 0.05


def test_a_network_that_finds_nothing_whatever_the_score(held_out):
    found = evaluate_network(network(held_out, score=lambda k: -1.0), held_out, TRANSFORMS)
    assert "finds nothing, whatever the score" in found.note


def test_classes_in_another_order(held_out):
    """Each image has objects of one class only, so that no neighbour is hit by chance."""
    truth = held_out.coco_gt.dataset
    first = {}
    for one in truth["annotations"]:
        first.setdefault(one["image_id"], one["category_id"])
    truth["annotations"] = [
        a for a in truth["annotations"] if a["category_id"] == first[a["image_id"]]
    ]
    size = len(held_out.labels)
    found = evaluate_network(
        network(held_out, label=lambda c: (c + 1) % size), held_out, TRANSFORMS
    )
    assert found.segm.ap50 == 0
    assert "overlap an object of another class by half: are the classes" in found.note


def test_nothing_annotated(held_out):
    held_out.coco_gt.dataset["annotations"].clear()
    found = evaluate_network(network(held_out), held_out, TRANSFORMS)
    assert math.isnan(found.metrics["segm_mmap"])
    assert "has no annotated object in its 12 images" in found.note


def test_mistakes_are_told_before_the_work(held_out):
    one = network(held_out)
    one.card.labels = ["other"]
    with pytest.raises(ValueError, match=r"but the model knows \['other'\]"):
        evaluate_network(one, held_out, TRANSFORMS)


def test_masks_of_windows_are_those_of_the_whole_image():
    """Compressed without the whole image in memory, to the same text as pycocotools'."""
    from paddlex_maskrcnn.inference.detections import BoxMask

    random = np.random.default_rng(0)
    for _ in range(300):
        height, width = random.integers(1, 12, 2).tolist()
        h, w = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
        x, y = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
        bits = (random.random((h, w)) < random.choice([0, 0.1, 0.5, 0.9, 1])).astype(np.uint8)
        mask = BoxMask(x, y, bits)
        expected = coco_mask.encode(np.asfortranarray(mask.dense(height, width)))
        assert mask.rle(height, width)["counts"] == expected["counts"].decode(), bits
