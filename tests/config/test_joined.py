"""Several data sets in `data.train`: each part is checked like a data set of its own."""

import pytest

from paddlex_maskrcnn.config.check import ConfigError
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.config.show import as_plain, show
from paddlex_maskrcnn.config.yaml_io import dump

AS_LIST = """
data:
  train:
    - {data_dir: a, ann_file: b}
    - {type: LabelMeDetection, data_dir: c}
"""
AS_TYPE = """
data:
  train:
    type: Joined
    labels: [x, y]
    parts:
      - {data_dir: a, ann_file: b}
      - {type: LabelMeDetection, data_dir: c}
"""


def load(tmp_path, text):
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return load_experiment(path)


@pytest.mark.parametrize("text", [AS_LIST, AS_TYPE])
def test_parts(tmp_path, text):
    loaded = load(tmp_path, text)
    choice = loaded.experiment.data.train
    assert choice.type == "Joined"
    assert [part.type for part in choice.arguments.parts] == [
        "CocoDetection",
        "LabelMeDetection",
    ]
    assert choice.arguments.parts[1].arguments.data_dir == "c"
    assert choice.arguments.shuffle
    again = load(tmp_path, dump(as_plain(loaded.experiment)))
    assert again.experiment == loaded.experiment, "what is saved reads back"
    assert "LabelMeDetection" in show(loaded)


@pytest.mark.parametrize(
    ("parts", "fragment"),
    [
        ("[{data_dir: a, ann_fil: b}]", "data.train.parts[0].ann_fil is not a known key"),
        ("[{data_dir: a, ann_file: b}, {type: Coco}]", "data.train.parts[1].type is 'Coco'"),
        ("[3]", "data.train.parts is [3]; allowed: a list of mappings"),
        ("3", "data.train.parts is 3; allowed: a list of mappings"),
        ("[]", "data.train.parts is []; allowed: at least one data set"),
    ],
)
def test_every_problem_of_a_part_is_told_with_its_line(tmp_path, parts, fragment):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"data:\n  train:\n    type: Joined\n    parts: {parts}\n")
    assert fragment in str(caught.value)
    assert "experiment.yaml:4" in str(caught.value)


def test_a_wrong_part_of_a_list(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.train\[1\]\.data_dir is missing"):
        load(tmp_path, "data:\n  train:\n    - {data_dir: a, ann_file: b}\n    - {ann_file: b}\n")
