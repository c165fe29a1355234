"""A type checker sees the arguments of the adapter and of the data sets."""

from pathlib import Path

import pytest
from mypy import api

PACKAGE = Path(__file__).parents[2] / "projects" / "paddlex_maskrcnn"
# what the calls go through; all other imports count as Any, so that torch is not analysed
SOURCES = ("__init__", "maskrcnn", "config/signature", "config/signatures", "data/datasets/coco")

RIGHT = """
from pathlib import Path
from paddlex_maskrcnn.data.datasets.coco import CocoDetection
from paddlex_maskrcnn.maskrcnn import MaskRCNN

data = CocoDetection("images", Path("train.json"), num_workers=0, skip_invalid=True)
model = MaskRCNN(3, "ResNet18", anchor_sizes=(8, 16, 32, 64, 128), norm="GN")
model.train(2, data, train_batch_size=2, eval_dataset=data, save_dir=Path("out"))
steps = model.dry_run(num_epochs=2, train_dataset=data)
metrics = model.evaluate(data, batch_size=4)
evaluation = model.full_evaluation(eval_dataset=data)
"""
WRONG = {
    "MaskRCNN(num_clases=3)": 'Unexpected keyword argument "num_clases"',
    "MaskRCNN(num_classes='three')": 'expected "int | None"',
    "model.train(2)": 'Missing positional argument "train_dataset"',
    "model.dry_run(2, data, epochs=3)": 'Unexpected keyword argument "epochs"',
    "model.evaluate(data, metrics='VOC')": 'Unexpected keyword argument "metrics"',
    "model.full_evaluation(data, 1.5)": 'expected "int"',
    "CocoDetection('images')": 'Missing positional argument "ann_file"',
    "CocoDetection('images', 'train.json', None, 0, 100, 'thread', True, True)": "Too many positional",
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory) -> dict[int, list[str]]:
    """Line of the snippet -> what mypy says of it; the wrong calls follow the right ones."""
    folder = tmp_path_factory.mktemp("typed")
    snippet = folder / "snippet.py"
    snippet.write_text(RIGHT + "\n".join(WRONG))
    sources = [str(PACKAGE / f"{name}.py") for name in SOURCES]
    output, errors, _ = api.run(
        [str(snippet), *sources, "--follow-imports=skip", "--config-file=", "--no-color-output",
         "--ignore-missing-imports", f"--cache-dir={folder}", "--no-error-summary"]
    )  # fmt: skip
    assert not errors
    by_line: dict[int, list[str]] = {}
    for message in output.splitlines():
        if message.startswith(str(snippet)) and ": error: " in message:
            line, _, text = message.removeprefix(f"{snippet}:").partition(": error: ")
            by_line.setdefault(int(line), []).append(text)
    return by_line


def test_right_calls_are_accepted(messages):
    assert [line for line in messages if line <= RIGHT.count("\n")] == []


@pytest.mark.parametrize("call", WRONG)
def test_wrong_calls_are_refused(messages, call):
    line = RIGHT.count("\n") + 1 + list(WRONG).index(call)
    assert len(messages.get(line, [])) == 1
    assert WRONG[call] in messages[line][0]
