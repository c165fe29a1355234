"""From labelled pictures to a model in one command; a second one loses nothing."""

import shutil
import time
from types import SimpleNamespace

import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn import cli
from paddlex_maskrcnn.cli import fit as command
from paddlex_maskrcnn.cli.train import Training
from paddlex_maskrcnn.config.auto_rules import Budget
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.config.yaml_io import read
from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.datasets import DrawnShapes
from paddlex_maskrcnn.engine import hooks
from paddlex_maskrcnn.weights import choice
from support.tiny_training import SMALL, same, weights

SETTINGS = [f"model.{name}={value}" for name, value in SMALL.items()] + [
    "train.pretrain_weights=null",
    "train.clip_gradients=5",
    "data.transforms.train.ResizeByShort.short_size=64",
    "data.transforms.eval.ResizeByShort.short_size=64",
    "data.train.num_workers=0",
    "data.eval.num_workers=0",
    "predict.num_pictures=1",
]


def test_one_command_ends_with_a_model_and_a_page_and_is_not_lost(labelled, here, capsys):
    arguments = ["fit", str(labelled), "--epochs", "2", *SETTINGS]
    assert cli.main(arguments) == 0
    run = here / "output/photos/run"
    out = capsys.readouterr().out
    assert (run / "report.html").is_file()
    assert list((run / "pictures").iterdir())
    assert out.splitlines()[-1].endswith(
        "paddlex-maskrcnn predict output/photos/run/best_model PICTURE"
    )
    assert "accuracy  " in out
    config = read(run / "config.yaml")[0]
    assert config["train"]["num_epochs"] == 2
    assert config["train"]["train_batch_size"] == 2  # auto, resolved
    before = weights(run / "best_model")

    model = pdx.fit(labelled, epochs=2, settings=SETTINGS)  # a notebook's cell run again
    assert "goes on" in capsys.readouterr().out
    assert same(weights(run / "best_model"), before)
    assert model.labels == (labelled / "labels.txt").read_text().split()
    picture = next(labelled.glob("*.jpg"))
    assert isinstance(model.predict(str(picture)), list)

    assert cli.main(["fit", str(labelled), "--epochs", "3", *SETTINGS]) == 2
    error = capsys.readouterr().err
    assert "train.num_epochs was 2 and is 3" in error
    assert same(weights(run / "best_model"), before)


@pytest.mark.long
def test_an_interrupted_run_goes_on_with_the_plan_it_began_with(
    labelled, here, monkeypatch, capsys
):
    """The second start plans nothing: values of `auto`, and starting weights, are those of the first."""
    usual, stops = hooks.EpochEnd.after_step, iter([True])

    def after_step(self):
        usual(self)
        if self.trainer.progress.closed_epochs == 1 and next(stops, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(hooks.EpochEnd, "after_step", after_step)

    def short_plan(training, deadline, folder):
        training.evaluate_on(folder / "train.txt")  # another list than the file's
        return Budget(20, 4.0, 1.0)

    monkeypatch.setattr(command, "_planned", short_plan)
    arguments = ["fit", str(labelled), "--minutes", "5", *SETTINGS]
    assert cli.main(arguments) == 130
    record = here / "output/photos/run/config.yaml"
    planned = read(record)[0]["train"]
    assert planned["num_epochs"] == 2  # of 2 steps each, and 3 evaluations at most
    monkeypatch.setattr(
        command, "_planned", lambda training, deadline, folder: Budget(900, 4.0, 1.0)
    )
    assert cli.main(arguments) == 0
    assert "goes on" in capsys.readouterr().out
    assert read(record)[0]["data"]["eval"]["image_list"].endswith("train.txt")
    resumed = read(record)[0]["train"]
    for name in (
        "num_epochs",
        "lr_decay_epochs",
        "learning_rate",
        "warmup_steps",
        "train_batch_size",
    ):
        assert resumed[name] == planned[name]
    epochs = sorted(path.name for path in record.parent.glob("epoch_*"))
    assert epochs == ["epoch_1", "epoch_2"]


def test_without_held_out_data_the_last_epoch_is_the_model(labelled, here, capsys):
    """The file is the user's, who may want all images to learn from."""
    assert cli.main(["init", str(labelled)]) == 0
    settings = [text for text in SETTINGS if ".eval." not in text]
    model = pdx.fit(labelled, epochs=1, settings=[*settings, "data.eval=null"])
    assert model.completed_epochs == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("predict output/photos/run/epoch_1 PICTURE")
    assert not any(line.startswith("page") for line in lines[-4:])


def test_a_folder_of_another_source_is_not_used(labelled, here, tmp_path, capsys):
    assert cli.main(["init", str(labelled)]) == 0
    other = tmp_path / "other" / "photos"
    convert(DrawnShapes(tmp_path / "drawn", num_images=4, image_size=64), "labelme", other)
    assert cli.main(["fit", str(other), *SETTINGS]) == 2
    error = capsys.readouterr().err
    assert f"is an experiment with {labelled}, not with {other}: name another --output" in error


def test_the_same_source_by_another_path(labelled, here, monkeypatch, capsys):
    """A path with `..` in it, or a link, is no other source."""
    assert cli.main(["init", str(labelled)]) == 0
    (here / "link").symlink_to(labelled)
    for path in (f"{labelled}/../photos", "link"):
        options = cli.parse("fit", [path, "--output", "output/photos"], "fit")
        assert command._experiment(options).name == "experiment.yaml"


def test_images_that_came_after_the_split_are_named(labelled, here, capsys):
    source = here / "photos"
    shutil.copytree(labelled, source)
    new = [path for path in source.iterdir() if path.stem == "00005"]
    (here / "aside").mkdir()
    for path in new:
        path.rename(here / "aside" / path.name)
    assert cli.main(["init", str(source)]) == 0
    options = cli.parse("fit", [str(source)], "fit")
    command._experiment(options)
    assert "in neither part" not in capsys.readouterr().out
    for path in new:
        (here / "aside" / path.name).rename(path)
    command._experiment(cli.parse("fit", [str(source), "--val", "0.5"], "fit"))
    out = capsys.readouterr().out
    assert "in neither part of the split, and not used: " in out
    assert "00005.jpg; init --force" in out
    assert "--val: no effect on this file" in out


def test_what_an_experiment_file_says_is_used(labelled, here):
    """It is the user's: nothing is drafted anew."""
    assert cli.main(["init", str(labelled)]) == 0
    file = here / "output/photos/experiment.yaml"
    file.write_text(file.read_text().replace("train:", "trian:"))
    with pytest.raises(ValueError, match="trian"):
        pdx.fit(labelled, epochs=1)


def test_an_experiment_file_saved_in_another_encoding(labelled, here, capsys):
    assert cli.main(["init", str(labelled)]) == 0
    file = here / "output/photos/experiment.yaml"
    file.write_bytes(file.read_bytes() + "# größer\n".encode("latin-1"))
    assert cli.main(["fit", str(labelled), "--epochs", "1"]) == 2
    error = capsys.readouterr().err
    assert "experiment.yaml" in error
    assert "not UTF-8" in error


def test_contradictions(labelled, here, capsys):
    with pytest.raises(ValueError, match="minutes and epochs both say how long"):
        pdx.fit(labelled, minutes=1, epochs=1)
    with pytest.raises(ValueError, match="minutes is 0; a number above 0"):
        pdx.fit(labelled, minutes=0)
    with pytest.raises(ValueError, match="minutes is inf; a number above 0"):
        pdx.fit(labelled, minutes=float("inf"))
    assert not (here / "output").exists()


class FakeTraining:
    """A run whose steps and evaluations take a time that is given."""

    takes_a_list = True

    def __init__(self, per_step, per_image, images):
        self._pace = SimpleNamespace(seconds_per_step=per_step, seconds_per_image=per_image)
        self.num_held_out, self.pictures = images, None
        self.loaded = SimpleNamespace(experiment=SimpleNamespace(auto=("train.num_epochs",)))
        names = [f"{k}.jpg" for k in range(images)]
        self.datasets = {"eval": SimpleNamespace(image_names=lambda: names)}

    def pace(self, seconds):
        return self._pace

    def show(self, most):
        self.pictures = most

    def evaluate_on(self, file):
        self.listed = file.read_text().split()
        self.num_held_out = len(self.listed)


def test_the_time_that_is_left_is_planned(tmp_path):
    training = FakeTraining(2.0, 0.5, 20)
    budget = command._planned(training, time.monotonic() + 600, tmp_path)
    assert budget.seconds_per_step == 2.0
    assert budget.seconds_per_evaluation == 10.0
    assert 560 < budget.seconds_left < 580  # some for pictures and page
    assert training.pictures >= 8
    assert not list(tmp_path.iterdir())


def test_an_evaluation_that_takes_too_long_is_of_some_images(tmp_path, capsys):
    training = FakeTraining(15.0, 10.0, 44)
    budget = command._planned(training, time.monotonic() + 300, tmp_path)
    assert training.listed == ["0.jpg", "8.jpg", "17.jpg", "26.jpg", "35.jpg"]
    assert budget.seconds_per_evaluation == 50
    assert training.pictures == 1
    assert "5 of them are evaluated" in capsys.readouterr().out


def test_no_time_is_left(tmp_path):
    with pytest.raises(ValueError, match="the time is over before the first step"):
        command._planned(FakeTraining(2.0, 0.5, 20), time.monotonic() - 1, tmp_path)


@pytest.mark.parametrize(("own", "limit"), [("null", 5), (3, 3), (60, 5)])
def test_the_earlier_of_two_time_limits_counts(own, limit, labelled, here):
    assert cli.main(["init", str(labelled)]) == 0
    settings = [*SETTINGS, f"train.max_minutes={own}"]
    training = Training(load_experiment("output/photos/experiment.yaml", settings), "check")
    training.limit(5)
    assert training.loaded.experiment.train.max_minutes == limit


@pytest.mark.parametrize(("named", "asked"), [("COCO", "COCO"), ("IMAGENET", "IMAGENET")])
def test_weights_that_the_file_names_are_not_replaced_by_better_ones(
    named, asked, tmp_path, monkeypatch
):
    file = tmp_path / "experiment.yaml"
    file.write_text(f"train: {{num_epochs: 1, pretrain_weights: {named}}}\n")
    seen = []

    def chosen(*_, best):
        seen.append(best)
        return choice.WeightChoice("IMAGENET", "as a test")

    monkeypatch.setattr(choice, "choose_weights", chosen)
    loaded = command._with_weights(load_experiment(file), {})
    assert (seen, loaded.experiment.train.pretrain_weights) == ([asked], "IMAGENET")


def test_a_run_that_ended_within_an_epoch_has_its_model_in_latest(tmp_path):
    assert command._newest(tmp_path, 3) == tmp_path / "epoch_3"
    (tmp_path / "latest").mkdir()
    assert command._newest(tmp_path, 3) == tmp_path / "latest"


def test_a_run_may_be_replaced(labelled, here, monkeypatch):
    """Where the settings say so, nothing goes on."""
    assert cli.main(["init", str(labelled)]) == 0
    model = here / "output/photos/run/epoch_1"
    model.mkdir(parents=True)
    (model / ".success").touch()
    settings = []

    def stopped(loaded, before):
        settings.append(loaded.experiment.train.resume_checkpoint)
        raise ValueError("far enough")

    monkeypatch.setattr(command, "_with_weights", stopped)
    for more in ([], ["train.if_exists=overwrite"]):
        with pytest.raises(ValueError, match="far enough"):
            pdx.fit(labelled, epochs=1, settings=more)
    assert settings == ["auto", None]


def test_a_minute_is_not_all_for_the_page():
    assert command._minutes_left(time.monotonic() + 11) * 60 > 0
    assert command._minutes_left(time.monotonic() - 5) * 60 == pytest.approx(1.0)
