"""YAML texts as plain data; those that stand for too much are refused before anything is built."""

import pytest

from paddlex_maskrcnn.config import yaml_io
from paddlex_maskrcnn.config.check import ConfigError
from paddlex_maskrcnn.config.load import load_experiment
from support.yaml_bombs import BOMBS, bounded


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_one_short_sentence(name):
    with bounded(), pytest.raises(yaml_io.YamlError) as caught:
        yaml_io.load(BOMBS[name])
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("text", ["a: [" + "1," * 100_000 + "]", "a: b\n" * 100_000])
def test_reading_ends_with_the_last_value_that_is_allowed(text):
    with bounded(), pytest.raises(yaml_io.YamlError, match="more than 500 values"):
        yaml_io.load(text, most_values=500)


def test_ten_thousand_names_are_few():
    text = "names: {" + ", ".join(f"{k}: a name of a class {k}" for k in range(10_000)) + "}"
    assert len(yaml_io.load(text)["names"]) == 10_000


@pytest.mark.parametrize("name", BOMBS)
def test_an_experiment_file_that_is_a_bomb(tmp_path, name):
    path = tmp_path / "experiment.yaml"
    path.write_text("data:\n  train:\n    data_dir: x\n" + BOMBS[name])
    with bounded(), pytest.raises(ConfigError, match="is not valid YAML") as caught:
        load_experiment(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("name", ["references", "depth in brackets", "long number", "wrong types"])
def test_an_override_that_is_a_bomb(tmp_path, name):
    """A value may be a mapping, written in one line."""
    path = tmp_path / "experiment.yaml"
    path.write_text("train: {num_epochs: 1}")
    bomb = BOMBS[name] if "\n" not in BOMBS[name] else "{" + BOMBS[name].replace("\n", ", ") + "}"
    text = f"train.save_dir={bomb.removeprefix('a: ')}"
    with bounded(), pytest.raises(ConfigError, match=r"train\.save_dir cannot be set") as caught:
        load_experiment(path, [text])
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("train: {num_epochs: [" + "[1, 2], " * 5_000 + "]}", "train.num_epochs is [[1, 2], [1,"),
        ("train: {save_dir: " + "x" * 100_000 + ", num_epochs: [1]}", "is [1]; allowed"),
        ("train: " + "x" * 100_000, "train is 'xxx"),
        ("model: {backbone: " + "x" * 100_000 + "}", "model.backbone is 'xxx"),
        ("data: {train: {type: [1, 2]}}", "data.train.type is [1, 2]; choose one of"),
        ("profile: {a: " + "x" * 100_000 + "}", "profile is {'a': 'xxx"),
        ("train: {" + ", ".join(f"key{k}: 1" for k in range(1_000)) + "}", "and 951 more"),
    ],
)
def test_messages_repeat_the_start_of_a_value_only(tmp_path, text, fragment):
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    with bounded(), pytest.raises(ConfigError) as caught:
        load_experiment(path)
    assert fragment in str(caught.value)
    assert len(str(caught.value)) < 100_000


def test_anchors_and_merges_of_an_experiment_file(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(
        """data:
  train: &set {data_dir: a, ann_file: b}
  eval: {<<: *set, ann_file: c}
  transforms:
    train: &operators
      - ResizeByShort: {short_size: 64, max_size: 96}
      - Normalize
    eval: *operators
"""
    )
    experiment = load_experiment(path).experiment
    assert experiment.data.eval.arguments.data_dir == "a"
    assert experiment.data.eval.arguments.ann_file == "c"
    assert len(experiment.data.transforms.eval) == 2
    changed = load_experiment(path, ["data.transforms.train.ResizeByShort.short_size=32"])
    sizes = [
        operators[0].arguments.short_size
        for operators in (
            changed.experiment.data.transforms.train,
            changed.experiment.data.transforms.eval,
        )
    ]
    assert sizes == [32, 64], "what is referred to is there twice"


def test_lines_of_keys(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_bytes("\ufeffmodel:\n  backbone: x\n  sizes: [1,\n    2]\n".encode())
    content, lines = yaml_io.read(path)
    assert content == {"model": {"backbone": "x", "sizes": [1, 2]}}
    assert lines["model.backbone"] == 2
    assert lines["model.sizes[1]"] == 4


COMMENTED = """# a header
a: 1   # first
b: "x # y"  #second
c: [1,   # of a list
    2]
d: |
  text  # of the text
e:  # of what follows
  # alone in its line
  - x#y
  - it's  # an entry
f: two
  lines  # after both
"""


def test_comments_behind_values(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(COMMENTED)
    assert yaml_io.comments_of(path) == {
        2: "first", 3: "second", 4: "of a list", 8: "of what follows", 11: "an entry",
        13: "after both",
    }  # fmt: skip


def test_comments_are_written_behind_keys(tmp_path):
    content = {"a": 1, "b": [{"c": [2, 3], "d": 4}], "e": []}
    comments = {
        "a": "x: y # z",
        "b[0].c": "two",
        "b[0].d": "'three",
        "e": "{four",
        "f": "of no key",
    }
    path = tmp_path / "x.yaml"
    path.write_text(yaml_io.dump_with_comments(content, comments))
    again, lines = yaml_io.read(path)
    assert again == content
    by_line = yaml_io.comments_of(path)
    del comments["f"]
    assert {
        key: by_line[line] for key, line in lines.items() if line in by_line and key in comments
    } == comments


def test_tuples_of_paddlex_are_lists():
    assert yaml_io.load("a: !!python/tuple [1, 2]") == {"a": [1, 2]}


def test_exponents_without_a_point_are_numbers():
    assert yaml_io.parse_value("1e-3") == 0.001


def test_text_goes_both_ways():
    content = {"b": [1, {"a": None}], "ä": "x: y"}
    assert yaml_io.load(yaml_io.dump(content)) == content
    assert yaml_io.load(yaml_io.dump(content, flow=True)) == content


@pytest.mark.parametrize(
    "text", ["1e3", "1.e-3", "-2E+5", "12e03", "off", "null", "1_0", "0x1f", "~", "="]
)
def test_texts_that_look_like_numbers_read_back_as_texts(text):
    for flow in (False, True):
        assert yaml_io.load(yaml_io.dump({"name": text}, flow=flow)) == {"name": text}
