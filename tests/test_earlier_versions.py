"""What commit fb8577f wrote still loads, predicts the same and goes on.

`earlier/` holds what it wrote as text: it is a record and is never written again. Weights and momenta
are drawn anew, each from its name (`support/seeded.py`), so that the record needs their shapes alone.
"""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.config.schema import RETIRED, ModelParams
from support.seeded import seeded_weights, uniform
from support.tiny_training import EVAL, FAST, SMALL, TRAIN
from support.untrained import save_untrained

EARLIER = Path(__file__).parent / "earlier"
# few proposals, far apart in score and place: with weights changed by 1e-4 of their size, a hundred
# times what rounding does, the same objects come out, their boxes moved by 6e-3 pixels at most
SETTINGS = {
    **SMALL,
    "test_pre_nms_top_n": 3,
    "test_post_nms_top_n": 6,
    "keep_top_k": 5,
    "nms_threshold": 0.3,
}
PIXELS, SCORE, AREA = 1e-3, 1e-5, 1


def earlier(name: str):
    return yaml.safe_load((EARLIER / name).read_text(encoding="utf-8"))


def shape_of(text: str) -> list[int]:
    """[2, 3] of `float32[2,3]`."""
    return [int(number) for number in re.findall(r"\d+", text.partition("[")[2])]


def weights(prefix: str = "") -> dict[str, torch.Tensor]:
    shapes = {name: shape_of(text) for name, text in earlier("model.pth.yml").items()}
    return seeded_weights(shapes, prefix)


def momentum(name: str, text: str) -> torch.Tensor:
    return uniform(f"momentum of {name}", shape_of(text), -0.5, 0.5)


def state() -> dict:
    """What state.pth held."""
    plain = earlier("state.pth.yml")
    buffers = plain["optimizer"]["state"].items()
    plain["optimizer"]["state"] = {
        k: {"momentum_buffer": momentum(*item)} for k, item in enumerate(buffers)
    }
    for group in plain["optimizer"]["param_groups"]:
        first, last = group["params"]
        group["params"] = list(range(first, last + 1))
    for record in plain["records"]:
        record["gradient_norm"] = torch.tensor(5.0)
    plain["rng"]["torch"] = torch.Generator().manual_seed(0).get_state()
    return plain | {"live_weights": weights("live ")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The model directory, without the state."""
    directory = tmp_path_factory.mktemp("earlier") / "latest"
    directory.mkdir()
    shutil.copy(EARLIER / "model.yml", directory)
    torch.save(weights(), directory / "model.pth")
    (directory / ".success").touch()
    return directory


@pytest.fixture
def quick_building(monkeypatch):
    """Initial values are not drawn: all of them are replaced."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "xavier_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


def assert_predicts(model, expected: list) -> None:
    pixels = uniform("image 0", (8, 12, 3), 0, 256).to(torch.uint8).numpy()
    objects = model.predict(pixels.repeat(8, axis=0).repeat(8, axis=1))
    assert [one["category"] for one in objects] == [category for category, *_ in expected]
    for one, (_, score, box, area) in zip(objects, expected, strict=True):
        assert one["score"] == pytest.approx(score, rel=0, abs=SCORE)
        assert one["bbox"] == pytest.approx(box, rel=0, abs=PIXELS)
        assert one["mask"].sum() == pytest.approx(area, rel=0, abs=AREA)


def test_a_saved_model_predicts_the_same(saved, quick_building):
    assert_predicts(pdx.load_model(saved), earlier("predictions.yml")["fpn"]["objects"])


@pytest.mark.parametrize("name", ["c4", "dcn", "hrnet"])
def test_names_shapes_and_predictions_of_other_networks(name, tmp_path, quick_building):
    expected = earlier("predictions.yml")[name]
    directory = save_untrained(tmp_path / "model", **expected["settings"])
    tensors = torch.load(directory / "model.pth", weights_only=True)
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    assert len(shapes) == expected["tensors"]
    lines = "\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == expected["names_and_shapes"]
    torch.save(seeded_weights(shapes), directory / "model.pth")
    assert_predicts(pdx.load_model(directory), expected["objects"])


def test_rows_that_came_later_and_rows_that_are_gone(saved, quick_building, monkeypatch, caplog):
    """A card without half of its rows, with one that is retired."""
    monkeypatch.setitem(RETIRED, ModelParams, {"with_gears": "it has none"})
    card = yaml.safe_load((saved / "model.yml").read_text())
    later = ["rpn_focal_loss_on", "gradient_checkpointing", "train_post_nms_top_n", "num_classes"]
    for name in later:
        del card["params"][name]
    del card["input_format"]["conventions"]
    card["params"]["with_gears"] = 3
    expected = ModelParams(**{**SETTINGS, "num_classes": 81, "train_post_nms_top_n": 2000})
    directory = saved.with_name("with_gears")
    shutil.copytree(saved, directory)
    (directory / "model.yml").write_text(yaml.safe_dump(card))
    model = pdx.load_model(directory)
    assert model.params == expected
    assert model.labels == ["nut", "bolt"]
    assert "with_gears is no longer a setting and is ignored: it has none" in caplog.text


@pytest.fixture(scope="module")
def resumed(saved, tmp_path_factory) -> Path:
    """The run's own folder, after the last of its four steps."""
    from conftest import TinyCoco

    save_dir = tmp_path_factory.mktemp("resumed")
    for name in ("metrics.jsonl", "metrics.csv"):
        shutil.copy(EARLIER / name, save_dir)
    checkpoint = save_dir / "latest"
    shutil.copytree(saved, checkpoint)
    torch.save(state(), checkpoint / "state.pth")
    coco = TinyCoco(tmp_path_factory.mktemp("coco") / "tiny")
    model = pdx.det.MaskRCNN(num_classes=3, **SETTINGS)
    model.train(
        2,
        coco.open(transforms=TRAIN, shuffle=True),
        eval_dataset=coco.open(transforms=EVAL),
        save_dir=str(save_dir),
        resume_checkpoint=str(checkpoint),
        ema=0.8,
        **FAST,
    )
    return save_dir


@pytest.fixture(scope="module")
def after(resumed) -> dict:
    return torch.load(resumed / "epoch_2" / "state.pth", weights_only=True)


def test_a_checkpoint_is_as_it_was(resumed, after):
    """Every key and shape of then is there; settings are those of then, word for word."""
    before = state()
    assert before.keys() <= after.keys()
    assert before["settings"].items() <= after["settings"].items()
    assert (after["run_id"], after["step"], after["closed_epochs"]) == (before["run_id"], 4, 2)
    assert (after["best"]["epoch"], after["best"]["value"] is None) == (1, False)
    assert after["ema_steps"] == 4
    for name in ("model.pth", "live_weights"):
        tensors = (
            after[name]
            if name in after
            else torch.load(resumed / "epoch_2" / name, weights_only=True)
        )
        shapes = {key: list(tensor.shape) for key, tensor in tensors.items()}
        assert shapes == {key: shape_of(text) for key, text in earlier("model.pth.yml").items()}
    groups = zip(
        before["optimizer"]["param_groups"], after["optimizer"]["param_groups"], strict=True
    )
    for old, new in groups:
        assert old.items() <= new.items()


def test_each_momentum_goes_on_with_its_own_weight(after):
    """momentum <- 0.9 momentum + clipped gradient; weight <- weight - rate * momentum."""
    optimizer, live = after["optimizer"], weights("live ")
    rates = {k: group["lr"] for group in optimizer["param_groups"] for k in group["params"]}
    change = 0.0
    for k, (name, text) in enumerate(earlier("state.pth.yml")["optimizer"]["state"].items()):
        buffer = optimizer["state"][k]["momentum_buffer"]
        expected = live[name] - rates[k] * buffer
        torch.testing.assert_close(after["live_weights"][name], expected, rtol=0, atol=1e-6)
        decay = 1e-4 * live[name] if live[name].dim() > 1 else 0
        change += (buffer - 0.9 * momentum(name, text) - decay).square().sum().item()
    assert 0 < change**0.5 < FAST["clip_gradients"] + 1e-2


def test_the_average_goes_on(resumed, after):
    """Its decay at step 3 is (1 + 3) / (10 + 3)."""
    average = torch.load(resumed / "epoch_2" / "model.pth", weights_only=True)
    for name, before in weights().items():
        if before.is_floating_point():
            expected = torch.lerp(before, after["live_weights"][name], 1 - 4 / 13)
            torch.testing.assert_close(average[name], expected, rtol=1e-5, atol=1e-6)


def test_metrics_files_go_on(resumed):
    """What was written before step 3 stays as it was, and the same things are written after it."""
    before, now = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (EARLIER, resumed)
    )
    assert now[:2] == before[:2]
    kinds = [(row["kind"], row["epoch"], row["step"]) for row in before]
    assert [(row["kind"], row["epoch"], row["step"]) for row in now] == kinds
    assert [row.keys() for row in now] == [row.keys() for row in before]
    old, new = (
        next(csv.reader((folder / "metrics.csv").open(encoding="utf-8")))
        for folder in (EARLIER, resumed)
    )
    assert old == new
