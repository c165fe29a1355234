"""The adapter, end to end on a tiny drawn data set: train, evaluate, predict, save, load."""

import csv
import json
import logging

import cv2
import numpy as np
import pytest
import torch
import yaml
from pycocotools import mask as coco_mask

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms
from support.tiny_training import EVAL, FAST, SMALL, TRAIN, same, train, weights
from support.untrained import save_untrained

NO_CHANGE = {"learning_rate": 1e-12, "warmup_start_lr": 0.0}


def test_what_a_run_leaves(tiny_run):
    _, save_dir = tiny_run
    names = {path.name for path in save_dir.iterdir()}
    assert {"best_model", "epoch_1", "epoch_2", "config.yaml", "train.log"} <= names
    assert {"metrics.csv", "metrics.jsonl", "tensorboard"} <= names
    for directory in ("best_model", "epoch_1", "epoch_2"):
        files = {path.name for path in (save_dir / directory).iterdir()}
        state = set() if directory == "best_model" else {"state.pth"}
        assert files == {"model.pth", "model.yml", "eval_details.json", ".success"} | state
    card = yaml.safe_load((save_dir / "epoch_2" / "model.yml").read_text())
    assert card["completed_epochs"] == 2
    assert card["labels"] == tiny_run[0].labels
    assert set(card["eval_metrics"]) == {"bbox_mmap", "segm_mmap"}
    assert card["transforms"] == EVAL.to_config()
    assert {"torch", "torchvision", "detectron2", "python"} == set(card["versions"])


def test_metrics_files_hold_every_line(tiny_run):
    _, save_dir = tiny_run
    rows = [json.loads(line) for line in (save_dir / "metrics.jsonl").read_text().splitlines()]
    steps = [(row["kind"], row["step"]) for row in rows]
    assert steps == [("train", 2), ("train", 4), ("train", 6), ("eval", 6), ("train", 8),
                     ("train", 10), ("train", 12), ("eval", 12)]  # fmt: skip
    parts = ["loss_cls", "loss_bbox", "loss_mask", "loss_rpn_cls", "loss_rpn_bbox"]
    assert rows[0]["loss"] == pytest.approx(sum(rows[0][part] for part in parts), rel=1e-5)
    with (save_dir / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in table if row["kind"] == "train"] == [
        row["loss"] for row in rows if row["kind"] == "train"
    ]


def test_log_lines(tiny_run):
    text = (tiny_run[1] / "train.log").read_text()
    assert "[TRAIN] Epoch=1/2, Step=2/6, loss=" in text
    assert ", loss_rpn_bbox=" in text
    assert "eta=0:00:0" in text
    assert "[EVAL] Finished, Epoch=2, bbox_mmap=" in text
    assert "12 images" in text


@pytest.mark.long
def test_same_seed_same_result(tiny_run, tiny_data, tmp_path):
    train(tiny_data, tmp_path)
    assert same(weights(tiny_run[1] / "epoch_2"), weights(tmp_path / "epoch_2"))


@pytest.mark.long
def test_another_seed_another_result(tiny_run, tiny_data, tmp_path):
    train(tiny_data, tmp_path, num_epochs=1, seed=1)
    assert not same(weights(tiny_run[1] / "epoch_1"), weights(tmp_path / "epoch_1"))


def test_evaluate(tiny_run, tiny_data):
    model = tiny_run[0]
    metrics, details = model.evaluate(tiny_data[1], return_details=True)
    assert list(metrics) == ["bbox_mmap", "segm_mmap"]
    assert list(model.evaluate(tiny_data[1], metric="VOC")) == ["bbox_map", "segm_map"]
    assert set(details) == {"bbox", "mask", "gt"}
    assert len(details["bbox"]) == len(details["mask"]) > 0
    for (image, category, box, score), (image_m, category_m, bits, score_m) in zip(
        details["bbox"], details["mask"], strict=True
    ):
        assert (image, category, score) == (image_m, category_m, score_m)
        assert category in tiny_data[1].category_ids
        assert abs(bits.shape[1] - box[2]) <= 4
        assert abs(bits.shape[0] - box[3]) <= 4
        assert set(np.unique(bits)) <= {0, 1}
    assert len(details["gt"]["images"]) == tiny_data[1].num_samples


def test_the_details_of_an_evaluated_epoch_lie_in_its_directory(tiny_run, tiny_data, tmp_path):
    """PaddleX's rows, with run lengths in place of maps; the drawing functions find them."""
    model, save_dir = tiny_run
    _, details = model.evaluate(tiny_data[1], return_details=True)
    written = json.loads((save_dir / "epoch_2" / "eval_details.json").read_text())
    assert len(written["bbox"]) == len(written["mask"]) == len(details["bbox"])
    for row, mask, (image, category, box, score) in zip(
        written["bbox"], written["mask"], details["bbox"], strict=True
    ):
        assert row == {"image_id": image, "category_id": category, "bbox": box, "score": score}
        assert mask["image_id"] == image
        assert isinstance(mask["segmentation"]["counts"], str)
    pdx.det.draw_pr_curve(save_dir / "best_model", save_dir=tmp_path)
    pdx.det.draw_pr_curve(str(save_dir / "epoch_2" / "eval_details.json"), save_dir=tmp_path)
    assert (tmp_path / "segm_pr_curve(iou-0.5).png").is_file()


def test_evaluate_gives_the_same_numbers_for_any_batch_size(tiny_run, tiny_data):
    one, three = (tiny_run[0].evaluate(tiny_data[1], batch_size=size) for size in (1, 3))
    assert one == pytest.approx(three, abs=1e-6)


def test_the_best_models_evaluation_is_kept(tiny_run, tiny_data):
    """Row for row what evaluating the saved best model gives, so that the page needs no second one."""
    model, save_dir = tiny_run
    best = pdx.load_model(save_dir / "best_model")
    best.evaluate(tiny_data[1])
    assert list(model.best_evaluation.results) == list(best.last_evaluation.results)
    assert len(model.best_evaluation.results) > 0
    assert set(best.last_evaluation.seconds) == {"reading", "network", "masks", "scoring"}


def test_evaluation_writes_coco_results(tiny_run, tiny_data, tmp_path):
    tiny_run[0].evaluate(tiny_data[1])
    tiny_run[0].last_evaluation.write(tmp_path)
    boxes = json.loads((tmp_path / "bbox_results.json").read_text())
    masks = json.loads((tmp_path / "segm_results.json").read_text())
    assert len(boxes) == len(masks) > 0
    assert set(boxes[0]) == {"image_id", "category_id", "bbox", "score"}
    record = next(r for r in tiny_data[1].records if r["image_id"] == masks[0]["image_id"])
    assert coco_mask.decode(masks[0]["segmentation"]).shape == (record["height"], record["width"])


def test_predict(tiny_run, tiny_data):
    model, record = tiny_run[0], tiny_data[1].records[0]
    found = model.predict(record["file_name"])
    assert 0 < len(found) <= SMALL["keep_top_k"]
    assert [one["score"] for one in found] == sorted((o["score"] for o in found), reverse=True)
    for one in found:
        assert set(one) == {"bbox", "mask", "category", "category_id", "score"}
        assert one["category"] == model.labels[one["category_id"] - 1]
        assert one["mask"].shape == (record["height"], record["width"])
        assert one["mask"].dtype == np.uint8
        x, y, w, h = one["bbox"]
        rows, columns = np.nonzero(one["mask"])
        if len(rows):
            assert x - 1 <= columns.min() <= columns.max() <= x + w + 1
            assert y - 1 <= rows.min() <= rows.max() <= y + h + 1


def test_path_array_and_batch_agree(tiny_run, tiny_data):
    model = tiny_run[0]
    files = [record["file_name"] for record in tiny_data[1].records]
    batch = model.batch_predict([*files, cv2.imread(files[0])])
    assert len(batch) == len(files) + 1
    for file, found in zip([*files, files[0]], batch, strict=True):
        assert_same_objects(model.predict(file), found)


def test_a_saved_directory_alone_predicts_the_same(tiny_run, tiny_data, tmp_path):
    model, file = tiny_run[0], tiny_data[1].records[0]["file_name"]
    model.save_model(tmp_path / "saved")
    loaded = pdx.load_model(tmp_path / "saved")
    assert_same_objects(model.predict(file), loaded.predict(file))
    assert loaded.labels == model.labels
    assert loaded.evaluate(tiny_data[1]) == model.evaluate(tiny_data[1])


def assert_same_objects(expected: list[dict], found: list[dict]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(expected, found, strict=True):
        assert a["category_id"] == b["category_id"]
        assert a["bbox"] == pytest.approx(b["bbox"], abs=1e-3)
        assert a["score"] == pytest.approx(b["score"], abs=1e-5)
        assert (a["mask"] != b["mask"]).mean() < 1e-3


def test_transforms_given_to_predict_win(tiny_run, tiny_data):
    file = tiny_data[1].records[0]["file_name"]
    larger = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(128, 256)])
    assert tiny_run[0].predict(file, larger)[0]["score"] != tiny_run[0].predict(file)[0]["score"]


@pytest.mark.long
def test_early_stop(tiny_data, tmp_path, caplog):
    """With a rate of almost nothing no epoch is better than the first."""
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        model = pdx.det.MaskRCNN(num_classes=None, **SMALL)
        settings = {**FAST, **NO_CHANGE}
        arguments = {
            **settings, "num_epochs": 9, "train_dataset": tiny_data[0], "eval_dataset": tiny_data[1],
            "save_dir": str(tmp_path), "early_stop": True, "early_stop_patience": 1,
        }  # fmt: skip
        model.train(**arguments)
        assert "EarlyStopping: Stop training, segm_mmap has not been better than" in caplog.text
        assert not (tmp_path / "epoch_9").exists()
        model.train(**arguments, resume_checkpoint="auto")
    assert "Nothing left to do: the run was stopped early after epoch 2" in caplog.text


def test_without_eval_dataset_the_training_transforms_serve(tiny_data, tmp_path):
    model = pdx.det.MaskRCNN(num_classes=None, **SMALL)
    model.train(1, tiny_data[0], save_dir=str(tmp_path), **FAST)
    assert model.test_transforms.to_config() == EVAL.to_config()
    assert not (tmp_path / "best_model").exists()
    assert isinstance(model.predict(tiny_data[1].records[0]["file_name"]), list)


def test_a_saved_model_can_be_fine_tuned_on_other_classes(tiny_run, tiny_coco, tmp_path, caplog):
    """Everything but the class-dependent layers starts from the saved model, and the log says so."""
    model = pdx.det.MaskRCNN(num_classes=None, **SMALL)
    settings = {**FAST, "pretrain_weights": str(tiny_run[1] / "best_model"), "learning_rate": 1e-12}
    settings |= {"warmup_start_lr": 0.0}
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        model.train(1, tiny_coco.open(transforms=TRAIN), save_dir=str(tmp_path), **settings)
    before, after = weights(tiny_run[1] / "best_model"), weights(tmp_path / "epoch_1")
    changed = {name for name in after if before[name].shape != after[name].shape}
    assert changed == {
        "roi_heads.box_predictor.cls_score.weight", "roi_heads.box_predictor.cls_score.bias",
        "roi_heads.box_predictor.bbox_pred.weight", "roi_heads.box_predictor.bbox_pred.bias",
        "roi_heads.mask_head.predictor.weight", "roi_heads.mask_head.predictor.bias",
    }  # fmt: skip
    convolution = "roi_heads.mask_head.mask_fcn1.weight"
    assert torch.allclose(before[convolution], after[convolution])
    assert "6 skipped" in caplog.text


def test_divergence_is_told(tiny_data, tmp_path):
    model = pdx.det.MaskRCNN(num_classes=None, **SMALL)
    settings = {**FAST, "learning_rate": 1e12, "warmup_steps": 0, "clip_gradients": None}
    with pytest.raises(FloatingPointError, match=r"not finite at step .*Lower learning_rate"):
        model.train(9, tiny_data[0], save_dir=str(tmp_path), **settings)


@pytest.mark.parametrize(
    ("init", "settings", "message"),
    [
        ({"num_classes": 81}, {}, r"num_classes is 81, but .* has 4 classes .*set num_classes to 5"),
        ({}, {"warmup_steps": 500}, "warmup_steps is 500, but the first decay comes before, after 48"),
        ({}, {"accumulate": 3}, "accumulate is 3, but a batch has only 2 images"),
        ({}, {"train_batch_size": 13}, "train_batch_size is 13, but .* has only 12 images"),
        ({}, {"pretrain_weights": "nowhere.pth"}, "neither IMAGENET nor COCO nor a file"),
        ({}, {"save_dir": "/proc/nothing"}, "save_dir '/proc/nothing' cannot be written to"),
        ({}, {"train_dataset": "a folder"}, "train_dataset is 'a folder'; a data set of pdx.datasets"),
        ({}, {"resume_checkpoint": "nowhere"}, "there is no model directory nowhere"),
        ({"device": "cuda"}, {}, "torch sees no GPU here"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_the_first_step(tiny_data, tmp_path, init, settings, message):
    if init.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    save_dir = tmp_path / "never"
    arguments = {
        "num_epochs": 9,
        "train_dataset": tiny_data[0],
        "save_dir": str(save_dir),
        **FAST,
        **settings,
    }
    model = pdx.det.MaskRCNN(**{"num_classes": None, **SMALL, **init})
    with pytest.raises(ValueError, match=message):
        model.train(**arguments)
    assert not list(tmp_path.rglob("epoch_*"))


def test_other_classes_are_refused(tiny_run, tiny_coco):
    with pytest.raises(ValueError, match="but the model knows"):
        tiny_run[0].evaluate(tiny_coco.open(transforms=EVAL))


def test_a_loaded_model_trains_on_with_other_classes(tiny_coco, tmp_path, caplog):
    """Three classes before, two of them in another order now: each keeps what it learned."""
    saved = save_untrained(tmp_path / "old", labels=["bolt", "nut", "star"])
    model = pdx.load_model(saved)
    before = model.network.module.roi_heads.box_predictor.cls_score.weight.clone()
    data = tiny_coco.open(transforms=TRAIN)
    assert data.labels == ["nut", "bolt"]
    settings = {name: value for name, value in FAST.items() if name != "pretrain_weights"}
    with caplog.at_level(logging.INFO, logger="paddlex_maskrcnn"):
        model.train(1, data, save_dir=str(tmp_path / "new"), **settings | NO_CHANGE)
    after = model.network.module.roi_heads.box_predictor.cls_score.weight
    assert torch.allclose(after, before[[1, 0, 3]], atol=1e-6)
    assert model.params.num_classes == 3
    assert "classes taken over by name: nut, bolt; left out: star" in caplog.text
