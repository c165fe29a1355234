"""Settings on the command line: into lists, between options, blamed for their own errors."""

import pytest

from paddlex_maskrcnn.config.check import ConfigError
from paddlex_maskrcnn.config.load import load_experiment

TEXT = """\
model: {backbone: ResNet18}
data:
  train: [{data_dir: a, ann_file: a.json}, {data_dir: b, ann_file: b.json}]
  transforms:
    train:
      [RandomHorizontalFlip, Normalize, {ResizeByShort: {short_size: 800}}, Normalize]
train: {num_epochs: 12, learning_rate: 0.01}
"""


@pytest.fixture
def load(tmp_path):
    file = tmp_path / "own.yaml"

    def read(*overrides, text=TEXT):
        file.write_text(text)
        return load_experiment(file, overrides)

    return read


def problems(load, *overrides, text=TEXT):
    with pytest.raises(ConfigError) as caught:
        load(*overrides, text=text)
    return [str(problem).replace("\n", " ") for problem in caught.value.problems]


def test_into_an_operator_by_its_name(load):
    loaded = load("data.transforms.train.ResizeByShort.short_size=320")
    resize = loaded.experiment.data.transforms.train[2]
    assert (resize.name, resize.arguments.short_size) == ("ResizeByShort", 320)
    assert loaded.origins["data.transforms.train[2].ResizeByShort.short_size"] == "command line"


def test_into_an_operator_without_arguments(load):
    loaded = load("data.transforms.train.RandomHorizontalFlip.prob=0.1")
    assert loaded.experiment.data.transforms.train[0].arguments.prob == 0.1


@pytest.mark.parametrize("key", ["data.train[1].data_dir", "data.train.1.data_dir"])
def test_into_an_entry_by_its_number(load, key):
    loaded = load(f"{key}=elsewhere")
    first, second = loaded.experiment.data.train.arguments.parts
    assert (first.arguments.data_dir, second.arguments.data_dir) == ("a", "elsewhere")


def test_into_the_usual_operators_of_a_file_that_lists_none(load):
    text = "train: {num_epochs: 1}"
    key = "data.transforms.train.ComposedRCNNTransforms.min_max_size"
    loaded = load(f"{key}=[320, 640]", text=text)
    [operator] = loaded.experiment.data.transforms.train
    assert operator.arguments.min_max_size == [320, 640]
    assert operator.arguments.mode == "train"
    assert len(loaded.experiment.data.transforms.eval) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.transforms.train.Normalise.std=1", "has no Normalise, but RandomHorizontalFlip"),
        ("data.transforms.train.Normalise.std=1", "did you mean 'Normalize'?"),
        ("data.transforms.train.Normalize.std=1", "has Normalize more than once; write"),
        ("data.train[2].data_dir=x", "data.train has 2 entries, counted from 0"),
        ("train.num_epochs.x=1", "train.num_epochs holds a value, not keys"),
        ("train.num_epochs=[1", "train.num_epochs cannot be set"),
        ("=1", "is not of the form section.key=value"),
    ],
)
def test_what_cannot_be_set(load, override, message):
    [problem] = problems(load, override)
    assert problem.startswith("command line: ")
    assert message in problem


def test_a_wrong_value_in_a_list_is_the_command_lines(load):
    [problem] = problems(load, "data.transforms.train.ResizeByShort.short_size=big")
    key = "data.transforms.train[2].ResizeByShort.short_size"
    assert problem.startswith(f"command line: {key} is 'big'")


def test_problems_stand_from_the_first_line_to_the_last(load):
    text = "train:\n  num_epochs: none\n  momentum: 7\nmodel:\n  backbone: x\npredict:\n  num_pictures: -1\n"
    found = problems(load, "model.norm=x", text=text)
    lines = [problem.split(": ")[0].rpartition(":")[2] for problem in found]
    assert lines == ["2", "3", "5", "7", "command line"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("num_epochs", "did you mean 'train.num_epochs'?"),
        ("batch_size", "did you mean 'evaluate.batch_size'?"),
        ("modle", "did you mean 'model'?"),
    ],
)
def test_a_key_without_its_section(load, name, meant):
    [problem] = problems(load, f"{name}=3")
    assert meant in problem


@pytest.mark.parametrize(
    ("written", "meant"), [("ImageNet", "IMAGENET"), ("Coco", "COCO"), ("coco", "COCO")]
)
def test_weights_that_are_nearly_right(load, written, meant):
    [problem] = problems(load, f"train.pretrain_weights={written}")
    assert f"is {written!r}; did you mean {meant!r}?" in problem


def test_a_file_of_such_a_name_is_one(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").mkdir()
    assert load("train.pretrain_weights=coco").experiment.train.pretrain_weights == "coco"


@pytest.mark.parametrize(("written", "value"), [("off", "off"), ("bf16", "bf16")])
def test_off_is_no_truth_value(load, written, value):
    assert load(f"train.amp={written}").experiment.train.amp == value
