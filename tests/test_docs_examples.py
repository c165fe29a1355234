"""What the documentation shows runs: commands as far as their arguments, Python to its end."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"(?:python (?:-m paddlex_maskrcnn|train_net\.py) |paddlex-maskrcnn (?=[a-z])).*"
)
SETTING = re.compile(r"^\$ ?|^\w+=\S+ ")


def commands():
    """(page, arguments) of every command of ours in a shell block or between backticks."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(code for kind, code in BLOCK.findall(text) if kind in ("", "bash", "sh"))
        inline = "\n".join(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)))
        for line in (blocks.replace("\\\n", " ") + "\n" + inline).splitlines():
            found = COMMAND.search(line)
            if found and "..." not in line and "…" not in line:
                words = shlex.split(found.group(), comments=True)
                if words[0] == "python":
                    words = ["", "train", *words[2:]] if words[1] == "train_net.py" else words[2:]
                ours = words[1:]
                yield pytest.param(ours, id=f"{page.name}: {' '.join(ours)}")


def examples(page):
    """The Python blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [code for kind, code in BLOCK.findall(text) if kind == "python"]


@pytest.mark.parametrize("arguments", list(commands()))
def test_commands_are_understood(arguments):
    assert arguments[0] in cli.COMMANDS
    cli.parse(arguments[0], arguments[1:], "paddlex-maskrcnn")


def test_commands_were_found():
    assert len(list(commands())) > 20


@pytest.fixture
def workplace(tiny_run, tiny_data, tmp_path, monkeypatch):
    """A folder with the files that the examples name, and the names they take for granted."""
    model, save_dir = tiny_run
    monkeypatch.chdir(tmp_path)
    Path("output").mkdir()
    Path("output/quickstart").symlink_to(save_dir)
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    for name in ("photo.jpg", "microscope.tif"):
        cv2.imwrite(name, image)
    height, width = image.shape[:2]
    names = {"model": model, "eval_dataset": tiny_data[1], "image": image}
    return names | {"height": height, "width": width, "objects": model.predict(image)}


@pytest.mark.parametrize("page", ["docs/predict.md", "docs/transforms.md"])
def test_examples_run(workplace, page):
    for code in examples(page):
        if "to_supervision" in code and not find_spec("supervision"):
            continue  # optional, and it brings an OpenCV of its own
        exec(compile(code, page, "exec"), workplace)


@pytest.mark.long
def test_examples_of_the_evaluation_run(workplace):
    import paddlex_maskrcnn as pdx

    for code in examples("docs/evaluation.md"):
        exec(compile(code, "docs/evaluation.md", "exec"), {"pdx": pdx, **workplace})
    assert list(Path("curves").glob("*.png"))
    assert list(Path("errors/segm").glob("*.png"))
