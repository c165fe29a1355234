"""`auto` in an experiment file: taken out, chosen, put in, shown, recorded."""

import random
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import yaml

from paddlex_maskrcnn.config.auto import (
    AUTO,
    Budget,
    DataFacts,
    Machine,
    choose,
    largest_area,
    lines_of,
    recorded,
    refuse_open,
    resolved,
    value_of,
)
from paddlex_maskrcnn.config.check import ConfigError, check_arguments, check_section
from paddlex_maskrcnn.config.load import load_experiment, with_choices
from paddlex_maskrcnn.config.operator_params import ResizeByShortParams
from paddlex_maskrcnn.config.schema import TrainParams
from paddlex_maskrcnn.config.show import as_plain, section_as_plain, show
from paddlex_maskrcnn.config.yaml_io import comments_of, dump_with_comments, read

TEXT = """model: {backbone: ResNet18, keep_top_k: auto}
data:
  train: {data_dir: a, ann_file: b}
  transforms:
    train: [Normalize, {ResizeByShort: {short_size: auto, max_size: 640}}]
    eval:
      - Normalize   # as the weights want it
      - ResizeByShort: {short_size: auto, max_size: 640}
train:
  num_epochs: auto
  train_batch_size: auto
  save_interval_epochs: auto
  learning_rate: auto
  warmup_steps: auto
  lr_decay_epochs: auto
  momentum: 0.95   # the most crowded image has 24 objects
"""
FACTS = DataFacts(num_images=14, short_side=600, small_object=0.1, most_objects=80)
KEYS = {
    "model.keep_top_k": 150,
    "data.transforms.train[1].ResizeByShort.short_size": [256, 288],
    "data.transforms.eval[1].ResizeByShort.short_size": 288,
    "train.num_epochs": 86,
    "train.train_batch_size": 2,
    "train.save_interval_epochs": 9,
    "train.learning_rate": 0.0025,
    "train.warmup_steps": 60,
    "train.lr_decay_epochs": [57, 76],
}


@pytest.fixture
def load(tmp_path):
    def load(text=TEXT, *overrides):
        path = tmp_path / "experiment.yaml"
        path.write_text(text)
        return load_experiment(path, overrides)

    return load


def chosen(loaded, facts=FACTS, machine=Machine(), budget=None):  # noqa: B008  (frozen)
    return with_choices(loaded, choose(loaded.experiment, facts, machine, budget))


def values(experiment):
    return {key: value_of(experiment, key) for key in experiment.reasons}


def test_loading_takes_the_word_out(load):
    experiment = load().experiment
    assert set(experiment.auto) == KEYS.keys()
    assert experiment.train.lr_decay_epochs == [8, 11], "what stands there is of the right type"
    with pytest.raises(RuntimeError, match=r"not resolved before training: .*train\.num_epochs"):
        refuse_open(experiment)


def test_every_value_is_chosen_with_a_reason(load):
    experiment = chosen(load()).experiment
    refuse_open(experiment)
    assert values(experiment) == KEYS
    assert "train.num_epochs is 86: at least 600 steps" in "\n".join(
        lines_of(as_plain(experiment), experiment.reasons)
    )
    written = experiment.data.transforms.eval[1].as_written()
    assert written == {"ResizeByShort": {"short_size": 288, "max_size": 640}}


def test_what_is_written_counts_for_what_is_not(load):
    given = ["train.num_epochs=4", "train.train_batch_size=7", "train.lr_decay_epochs=[1]"]
    given += ["data.transforms.eval.ResizeByShort.short_size=96"]
    train = chosen(load(TEXT, *given)).experiment.train
    assert (train.num_epochs, train.train_batch_size, train.lr_decay_epochs) == (4, 7, [1])
    assert train.warmup_steps == 0, "a tenth of 8 steps"
    assert train.learning_rate == 0.00875
    assert train.save_interval_epochs == 1


def test_an_override_may_ask_for_it(load):
    loaded = load(TEXT.replace(": auto", ": 96"), "train.lr_decay_epochs=auto")
    assert loaded.experiment.auto == ("train.lr_decay_epochs",)
    assert chosen(loaded).experiment.train.lr_decay_epochs == [64, 85]


def test_a_run_of_given_length(load):
    train = chosen(load(), budget=Budget(900, 2.0, 45.0)).experiment.train
    assert (train.num_epochs, train.save_interval_epochs) == (57, 29)


@pytest.mark.parametrize(
    ("optimizer", "rate", "start"),
    [("null", 0.0025, 1 / 2400), ("{name: AdamW}", 3.54e-5, 1.18e-5)],
)
def test_the_warm_up_begins_below_the_rate(load, optimizer, rate, start):
    train = chosen(load(f"{TEXT}  optimizer: {optimizer}\n")).experiment.train
    assert train.learning_rate == pytest.approx(rate)
    assert train.warmup_start_lr == pytest.approx(start)
    assert not train.without_effect(set())


def test_a_first_rate_that_is_written_stays(load):
    text = f"{TEXT}  optimizer: {{name: AdamW}}\n  warmup_start_lr: 0.01\n"
    assert chosen(load(text)).experiment.train.warmup_start_lr == 0.01


def test_an_optimizer_without_a_rule(load):
    with pytest.raises(ConfigError, match=r"yaml:13: train\.learning_rate is auto, .*'RMSprop'"):
        load(f"{TEXT}  optimizer: {{name: RMSprop}}\n")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "train.learning_rate=Auto",
            "is 'Auto'; allowed: a number, > 0, or auto; did you mean 'auto'",
        ),
        ("train.num_epochs=0", "is 0; allowed: >= 1, or auto"),
        ("train.momentum=auto", "is 'auto'; allowed: a number, >= 0 and < 1"),
        ("data.transforms.eval.ResizeByShort.max_size=auto", "is 'auto'; allowed: a whole number"),
    ],
)
def test_where_it_is_allowed(load, override, message):
    with pytest.raises(ConfigError) as caught:
        load(TEXT, override)
    assert message in str(caught.value)
    assert ("or auto" in str(caught.value)) == ("or auto" in message)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (TrainParams, {"train_dataset": None, "num_epochs": AUTO}),
        (ResizeByShortParams, {"short_size": AUTO}),
    ],
)
def test_in_python_it_is_refused_with_the_way_out(kind, given):
    with pytest.raises(
        ConfigError, match=r"is 'auto'; .*auto is for experiment files and pdx\.fit"
    ):
        check_arguments(kind, given)


def test_a_profile_follows_what_was_chosen(load):
    loaded = load(f"profile: fast\n{TEXT}")
    assert loaded.experiment.model.test_post_nms_top_n == 300
    many = DataFacts(14, 600, 0.1, most_objects=180)
    assert chosen(loaded, many).experiment.model.test_post_nms_top_n == 900
    assert chosen(load(), many).experiment.model.test_post_nms_top_n == 1000


def test_shown_before_and_after(load):
    lines = show(load()).splitlines()
    assert sum("auto " in line and "decided when training starts" in line for line in lines) == 7
    assert (
        sum("ResizeByShort.short_size decided when training starts" in line for line in lines) == 2
    )
    lines = show(chosen(load())).splitlines()
    assert any("num_epochs: 86 " in line and "# auto: at least 600 steps" in line for line in lines)
    assert any(
        "short_size: 288," in line and "short_size auto: the short side" in line for line in lines
    )


def test_a_comment_of_the_file_is_shown_behind_its_line(load):
    lines = show(load()).splitlines()
    momentum = next(line for line in lines if "momentum" in line)
    assert momentum.endswith("experiment.yaml:16: the most crowded image has 24 objects")
    assert any("Normalize: as the weights want it" in line for line in lines)


@pytest.mark.parametrize("is_chosen", [True, False])
def test_what_is_shown_and_recorded_reads_back(load, tmp_path, is_chosen):
    loaded = chosen(load()) if is_chosen else load()
    again = tmp_path / "again.yaml"
    for text in (yaml.safe_dump(as_plain(loaded.experiment)), show(loaded)):
        again.write_text(text.replace("  num_classes: null", "  # "))
        assert asdict(load_experiment(again).experiment) | {"reasons": {}, "auto": ()} == (
            asdict(loaded.experiment) | {"reasons": {}, "auto": ()}
        )


def test_a_record_has_the_reasons_and_gives_them_back(load, tmp_path):
    first = chosen(load()).experiment
    reasons = {key: f"{AUTO}: {reason}" for key, reason in first.reasons.items()}
    file = tmp_path / "config.yaml"
    file.write_text(dump_with_comments(as_plain(first), reasons))
    content, lines = read(file)
    by_line = comments_of(file)
    comments = {key: by_line[line] for key, line in lines.items() if line in by_line}
    choices = recorded(load().experiment, content, comments, file)
    again = resolved(load().experiment, choices)
    assert (again, again.reasons) == (first, first.reasons)
    assert load_experiment(file).experiment == first


@pytest.mark.parametrize("optimizer", ["null", "{name: AdamW}"])
def test_a_first_rate_that_was_chosen_is_taken_from_the_record(load, optimizer):
    loaded = load(f"{TEXT}  optimizer: {optimizer}\n")
    first = chosen(loaded).experiment
    choices = recorded(loaded.experiment, as_plain(first), {}, "config.yaml")
    assert resolved(loaded.experiment, choices) == first
    assert ("train.warmup_start_lr" in choices) == (optimizer != "null")


def test_a_record_with_a_wrong_value(load):
    with pytest.raises(ValueError, match=r"config\.yaml: train\.num_epochs is 'many'; allowed"):
        recorded(load().experiment, {"train": {"num_epochs": "many"}}, {}, "config.yaml")
    for content in (
        {},
        {"train": {"num_epochs": AUTO}},
        {"train": None},
        {"data": {"transforms": []}},
    ):
        assert recorded(load().experiment, content, {}, "config.yaml") == {}


@pytest.mark.parametrize(
    ("operators", "area"),
    [
        ([], 600 * 1000),
        ([{"ResizeByShort": {"short_size": [300, 600], "max_size": 0}}], 600 * 1000),
        ([{"ResizeByShort": {"short_size": 600, "max_size": 700}}], 600 * 700),
        ([{"ComposedRCNNTransforms": {"mode": "train"}}], 800 * 1333),
        ([{"Resize": {"target_size": [400, 300]}}], 400 * 300),
        ([{"LargeScaleJitter": {"target_size": 512}}], 512 * 512),
    ],
)
def test_the_largest_image(load, operators, area):
    lists = yaml.safe_dump({"train": [*operators, "Normalize"]}, default_flow_style=True).strip()
    text = "data: {transforms: " + lists.replace("\n", " ") + "}\n"
    result = largest_area(load(text).experiment.data.transforms.train, FACTS)
    assert result == pytest.approx(area, rel=1e-3)


def test_an_experiment_that_cannot_train(load):
    text = TEXT.partition("train:\n  num_epochs")[0]
    experiment = chosen(load(text)).experiment
    assert experiment.train is None
    assert value_of(experiment, "data.transforms.eval[1].ResizeByShort.short_size") == 288


def test_any_data_and_machine_gives_settings_that_can_train(load):
    """They pass the checks of the parameters and of a run's set-up, without a warning."""
    from paddlex_maskrcnn.engine.optimizer import factor_of
    from paddlex_maskrcnn.engine.setup import _check_split

    draw = random.Random(0)
    asked = load().experiment
    for _ in range(1000):
        facts = DataFacts(
            num_images=int(10 ** draw.uniform(0, 5)),
            short_side=10 ** draw.uniform(1, 4),
            small_object=draw.choice([None, 10 ** draw.uniform(-3, 0)]),
            most_objects=int(10 ** draw.uniform(0, 4)),
        )
        machine = draw.choice([Machine("cpu"), Machine("cuda", draw.uniform(1, 200))])
        processes = draw.randint(1, min(8, facts.num_images))
        machine = Machine(machine.device, machine.memory_gib, processes)
        budget = (
            Budget(*(10 ** draw.uniform(-2, 4) for _ in range(3))) if draw.random() < 0.5 else None
        )
        experiment = resolved(asked, choose(asked, facts, machine, budget))
        case = SimpleNamespace(facts=facts, machine=machine, budget=budget, train=experiment.train)
        assert not experiment.auto
        train = experiment.train
        assert 1 <= train.train_batch_size <= facts.num_images, case
        _check_split(train.train_batch_size, processes, train.accumulate)
        factor_of(train, facts.num_images // train.train_batch_size)
        plain = section_as_plain(train)
        assert check_section(TrainParams, {**plain, "train_dataset": None})[1] == [], case
        assert (
            train.without_effect(plain.keys() & {"warmup_start_lr"}) == []
            or train.warmup_steps == 0
        )
        size = value_of(experiment, "data.transforms.eval[1].ResizeByShort.short_size")
        sizes = value_of(experiment, "data.transforms.train[1].ResizeByShort.short_size")
        assert size % 32 == 0
        assert max(sizes if isinstance(sizes, list) else [sizes]) == size
        assert all(epoch < train.num_epochs for epoch in train.lr_decay_epochs), case
