"""Experiment files: what is accepted, and that every mistake is told at once with its line."""

from pathlib import Path

import pytest

from paddlex_maskrcnn.config.check import ConfigError, check_arguments
from paddlex_maskrcnn.config.dataset_params import DATASETS
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.config.operator_params import TRANSFORMS
from paddlex_maskrcnn.config.schema import RETIRED, EvaluateParams

MINIMAL = """
model: {backbone: ResNet18}
data:
  train: {data_dir: a, ann_file: b}
train: {num_epochs: 2}
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "experiment.yaml"
        path.write_text(text)
        return path

    return write


def problems(path: Path, overrides=()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, overrides)
    return [str(problem).replace(f"{path}:", "line ") for problem in caught.value.problems]


def test_minimal_file(write):
    experiment = load_experiment(write(MINIMAL)).experiment
    assert experiment.model.backbone == "ResNet18"
    assert experiment.model.num_classes is None, "left out, it comes from the data"
    assert experiment.train.lr_decay_epochs == [8, 11]
    assert experiment.data.train.type == "CocoDetection"
    assert experiment.data.train.arguments.shuffle, (
        "training data is shuffled unless said otherwise"
    )
    assert experiment.data.eval is None


def test_all_problems_of_a_file_are_told_at_once(write):
    found = problems(
        write(
            """model:
  backbone: Resnet50
  keep_top_k: 0
  nmsthreshold: 0.5
  anchor_sizes: [32]
train:
  num_epochs: many
  lr_decay_epochs: [11, 8]
data:
  train: {type: CocoDetecton, data_dir: a, ann_file: b}
  transforms:
    train: [RandomHorizontalFlip, {Normalize: {men: 1}}]
optimiser: 3
"""
        )
    )
    expected = [
        "line 2: model.backbone is 'Resnet50'; choose one of",
        "did you mean 'ResNet50'",
        "line 3: model.keep_top_k is 0; allowed: >= 1",
        "line 4: model.nmsthreshold is not a known key; did you mean 'nms_threshold'?",
        "line 5: model.anchor_sizes is [32.0]; allowed: 5 entries with FPN",
        "line 7: train.num_epochs is 'many'; allowed: a whole number",
        "line 8: train.lr_decay_epochs is [11, 8]; allowed: >= 1 and increasing",
        "line 10: data.train.type is 'CocoDetecton'; choose one of",
        "line 12: data.transforms.train[1].Normalize.men is not a known key; did you mean 'mean'?",
        "line 13: optimiser is not a section",
    ]
    for text in expected:
        assert any(text in problem for problem in found), f"{text!r} not in {found}"
    assert len(found) == len(expected) - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {num_classes: 3.5}", "is 3.5; allowed: a whole number or null, >= 2"),
        ("model: {num_classes: 1}", "is 1; allowed: >= 2"),
        ("model: {with_fpn: 1}", "is 1; allowed: true or false"),
        ("model: {rpn_fg_fraction: .nan}", "is nan; allowed: a number"),
        ("model: {rpn_fg_fraction: 1.01}", "is 1.01; allowed: > 0 and <= 1"),
        ("model: {aspect_ratios: [1, -2]}", "is [1.0, -2.0]; allowed: > 0"),
        ("model: {aspect_ratios: 1}", "is 1; allowed: a list of numbers"),
        ("model: {aspect_ratios: []}", "is []; allowed: at least one number"),
        ("model: {num_classes: '3'}", "is '3'; allowed: a whole number or null"),
        ("model: 7", "is 7; allowed: a mapping of keys to values"),
        ("train: {}", "num_epochs is missing; it has no default"),
        ("train: {num_epochs: 1, train_dataset: x}", "can only be given in Python"),
        ("data: {train: {data_dir: x}}", "data.train.ann_file is missing"),
        ("data: {train: {data_dir: x, ann_file: y, num_workers: four}}", "a number >= 0 or 'auto'"),
        ("data: {transforms: {train: Normalize}}", "is 'Normalize'; allowed: a list of operators"),
        ("data: {transforms: {train: [3]}}", "allowed: '- Name' or '- Name: {argument: value}'"),
        (
            "data: {transforms: {train: [{Padding: {target_size: [1]}}]}}",
            "Padding.target_size is [1]; allowed: [width, height], each >= 1",
        ),
        (
            "data: {transforms: {eval: [{Normalize: {std: [1]}}]}}",
            "data.transforms.eval[0].Normalize.std is [1.0]; allowed: as many",
        ),
        ("data: {transforms: {test: [Normalize]}}", "data.transforms.test is not a known key"),
        ("train: {num_epochs: '${oc.env:SURELY_NOT_SET}'}", "'SURELY_NOT_SET' not found"),
        ("model: {}\nmodel: {}", "model stands twice, first in line 1"),
        ("model: [", "is not valid YAML"),
        ("- model", "allowed: sections such as"),
        ("model: !!python/object/apply:os.system [ls]", "is not valid YAML"),
    ],
)
def test_one_mistake(write, text, message):
    assert message in "\n".join(problems(write(text)))


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no configuration file .*nowhere\.yaml"):
        load_experiment(tmp_path / "nowhere.yaml")


def test_overrides_win_and_say_so(write):
    loaded = load_experiment(
        write(MINIMAL), ["train.learning_rate=1e-3", "model.anchor_sizes=[8, 16, 32, 64, 128]"]
    )
    assert loaded.experiment.train.learning_rate == 0.001
    assert loaded.experiment.model.anchor_sizes == [8, 16, 32, 64, 128]
    assert loaded.origins["train.learning_rate"] == "command line"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rate", "is not of the form section.key=value"),
        ("train.lerning_rate=1", "did you mean 'learning_rate'"),
        ("train.num_epochs.x=1", "cannot be set: train.num_epochs holds a value, not keys"),
        ("train.num_epochs=0", "command line: train.num_epochs is 0"),
    ],
)
def test_wrong_overrides(write, override, message):
    assert message in "\n".join(problems(write(MINIMAL), [override]))


def test_environment_and_references(write, monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "somewhere")
    text = MINIMAL.replace("data_dir: a", "data_dir: '${oc.env:SOME_FOLDER}/${model.backbone}'")
    loaded = load_experiment(write(text))
    assert loaded.experiment.data.train.arguments.data_dir == "somewhere/ResNet18"


def test_every_unset_variable_is_told(write):
    text = (
        "train: {num_epochs: 1, save_dir: '${oc.env:NOT_A}', pretrain_weights: '${oc.env:NOT_B}'}"
    )
    found = "\n".join(problems(write(text)))
    assert "NOT_A" in found
    assert "NOT_B" in found


RETIRED_KEYS = """
model: {backbone: ResNet18}
data:
  train: {data_dir: a, ann_file: b, gears: 1}
  transforms:
    train: [RandomHorizontalFlip: {gears: 2}]
evaluate:
  gears: 3
"""


@pytest.fixture
def gears(monkeypatch):
    """A key of an evaluation, a data set and an operator that existed once."""
    kinds = (EvaluateParams, DATASETS["CocoDetection"], TRANSFORMS["RandomHorizontalFlip"])
    for kind in kinds:
        monkeypatch.setitem(RETIRED, kind, {"gears": f"{kind.__name__} has none"})


def test_retired_keys_are_ignored_with_one_note_each(write, gears, caplog):
    path = write(RETIRED_KEYS)
    for _ in range(2):
        experiment = load_experiment(path).experiment
    assert not hasattr(experiment.evaluate, "gears")
    assert experiment.data.transforms.train[0].as_written() == {"RandomHorizontalFlip": {}}
    notes = [record.getMessage().replace(f"{path}:", "line ") for record in caplog.records]
    gone = "gears is no longer a setting and is ignored:"
    assert sorted(notes) == [
        f"line 4: data.train.{gone} CocoDetectionParams has none",
        f"line 6: data.transforms.train[0].RandomHorizontalFlip.{gone} RandomHorizontalFlipParams has none",
        f"line 8: evaluate.{gone} EvaluateParams has none",
    ]


def test_retired_keys_on_the_command_line_and_in_python(write, gears, caplog):
    load_experiment(write(MINIMAL), ["evaluate.gears=fast"])
    check_arguments(EvaluateParams, {"eval_dataset": None, "gears": 3})
    assert [record.getMessage().partition(" is no")[0] for record in caplog.records] == [
        "command line: evaluate.gears",
        "gears",
    ]


def test_the_choice_of_a_back_end_for_evaluation_is_retired(write, caplog):
    """In files of earlier versions, and in the config.yaml of every run."""
    experiment = load_experiment(write(f"{MINIMAL}evaluate: {{backend: hotcoco, batch_size: 3}}"))
    assert experiment.experiment.evaluate.batch_size == 3
    (note,) = caplog.messages
    assert "evaluate.backend is no longer a setting and is ignored: average precision is" in note


def test_other_sections_know_no_retired_key_of_a_section(write, gears):
    (found,) = problems(write("predict: {gears: 3}"))
    assert found.startswith(
        "line 1: predict.gears is not a known key; choose one of num_pictures, "
    )
