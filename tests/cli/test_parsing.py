"""The command line as a whole: help, version, names that do not exist, settings between options."""

import subprocess
import sys

import pytest

from paddlex_maskrcnn import __version__, cli
from paddlex_maskrcnn.config.load import find_config, shipped_configs


def test_nothing_at_all_shows_the_help(capsys):
    assert cli.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n    {command}" in printed for command in cli.COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"paddlex-maskrcnn {__version__}\n"


@pytest.mark.parametrize(
    ("word", "answer"),
    [("trian", "did you mean 'train'?"), ("xyz", "choose one of fit, init, train,")],
)
def test_a_command_that_does_not_exist(word, answer, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([word, "--config", "x"])
    assert caught.value.code == 2
    assert f"there is no command {word!r}; {answer}" in capsys.readouterr().err


def test_settings_between_options(capsys):
    settings = ["train.seed=7", "--print-config", "train.ema=0.9"]
    assert cli.main(["train", settings[0], "--config", "quickstart", *settings[1:]]) == 0
    lines = capsys.readouterr().out.splitlines()
    written = [line.split("#")[0].strip() for line in lines if "command line" in line]
    assert written == ["seed: 7", "ema: 0.9"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "a.yaml"], "argument --config: is given twice, as quickstart and as a.yaml"),
        (["--resume", "--overwrite"], "not allowed with argument"),
    ],
)
def test_what_cannot_stand_together(arguments, message, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--config", "quickstart", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "x"], "--model x is for --eval-only; to train from its weights write"),
        (["--allow-changes"], "--allow-changes is for --resume"),
    ],
)
def test_what_has_no_meaning_alone(arguments, message, capsys):
    assert cli.main(["train", "--config", "quickstart", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_configs(capsys):
    assert cli.main(["configs"]) == 0
    printed = capsys.readouterr().out
    assert set(shipped_configs()) >= {"quickstart", "own_data"}
    assert all(f"{name} " in printed for name in shipped_configs())
    assert cli.main(["configs", "quickstart"]) == 0
    assert capsys.readouterr().out == find_config("quickstart").read_text(encoding="utf-8")
    assert cli.main(["configs", "quikstart"]) == 2
    assert "did you mean 'quickstart'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "check --data-dir {images} --ann-file {json} --html {out}/page.html",
        "convert --from coco --to yolo --data-dir {images} {json} {out}/yolo",
        "split {json} {out}/parts",
    ],
)
def test_commands_on_data_start_without_torch(command, tiny_coco, tmp_path):
    """They take a second where torch and Detectron2 take ten."""
    places = {"images": tiny_coco.data_dir, "json": tiny_coco.ann_file, "out": tmp_path}
    code = (
        "import sys; sys.modules['torch'] = sys.modules['detectron2'] = None\n"
        "from paddlex_maskrcnn import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    words = [word.format(**places) for word in command.split()]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr  # check has findings
    assert "Error" not in done.stderr


@pytest.mark.parametrize(
    ("missing", "line"), [("ann_file", 3), ("data_dir", 4), ("pretrain_weights", 7)]
)
def test_a_missing_file_is_told_with_its_key_and_line(missing, line, tiny_coco, tmp_path, capsys):
    values = {
        "ann_file": tiny_coco.ann_file, "data_dir": tiny_coco.data_dir, "pretrain_weights": "null",
        missing: tmp_path / "nowhere",
    }  # fmt: skip
    config = tmp_path / "own.yaml"
    config.write_text(
        "data:\n  train:\n    ann_file: {ann_file}\n    data_dir: {data_dir}\ntrain:\n  num_epochs: 1\n"
        "  pretrain_weights: {pretrain_weights}\n  train_batch_size: 2\n  warmup_steps: 1\n"
        "model: {{backbone: ResNet18}}\n".format(**values)
    )
    assert cli.main(["train", "--config", str(config), "--dry-run"]) == 2
    section = "train" if missing == "pretrain_weights" else "data.train"
    message = capsys.readouterr().err
    assert f"own.yaml:{line}: {section}.{missing}: " in message
    assert str(tmp_path / "nowhere") in message
