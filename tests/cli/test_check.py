import json
import re
import shutil

import pytest

from paddlex_maskrcnn import cli
from support.flawed_coco import FlawedCoco

CONFIG = """
model: {backbone: ResNet18, keep_top_k: 5}
data:
  train: {type: CocoDetection, data_dir: IMAGES, ann_file: TRAIN}
  eval: {type: CocoDetection, data_dir: IMAGES, ann_file: VAL}
  transforms: {train: [{ResizeByShort: {short_size: 144}}]}
train: {num_epochs: 12, save_dir: OUT, pretrain_weights: null}
"""


@pytest.fixture
def check(capsys):
    """The command: exit status, what it says, and what it complains about."""

    def check(*arguments):
        status = cli.main(["check", *map(str, arguments)])
        told = capsys.readouterr()
        return status, told.out, told.err

    return check


@pytest.fixture(scope="module")
def flawed(tmp_path_factory):
    return FlawedCoco(tmp_path_factory.mktemp("flawed"))


@pytest.fixture
def config(flawed, tmp_path):
    text = CONFIG.replace("IMAGES", str(flawed.data_dir))
    text = text.replace("TRAIN", str(flawed.files["train"]))
    text = text.replace("VAL", str(flawed.files["val"])).replace("OUT", str(tmp_path / "run"))
    (tmp_path / "check.yaml").write_text(text)
    return tmp_path / "check.yaml"


def test_a_folder(check, flawed, tmp_path):
    """Its parts are recognised by the names of its files; of three, two are looked at."""
    folder = flawed.files["train"].parent
    status, told, _ = check(folder, "--html", tmp_path / "a.html", "--json", tmp_path / "a.json")
    assert status == 1
    assert told.splitlines()[0].startswith(f"{folder} is COCO: ")
    parts = {one["part"] for one in json.loads((tmp_path / "a.json").read_text())["findings"]}
    assert {"train", "eval"} <= parts


def test_an_archive_and_a_file(check, flawed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = flawed.files["train"].parent
    archive = shutil.make_archive("set", "zip", folder.parent, folder.name)
    for source in (archive, flawed.files["train"]):
        status, told, _ = check(source, "--html", "a.html", "--fail-on", "never")
        assert status == 0
        assert told.startswith(f"{source} is COCO: ")
    assert (tmp_path / "set_unpacked" / folder.name).is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no file or folder 'nothing'"),
        ([".", "--data-dir", "x"], "is recognised as a whole: leave out --data-dir"),
        (["a=b"], "check needs a folder, --config FILE, or"),
        ([".", "--type", "CocoDetektion"], "did you mean 'CocoDetection'"),
    ],
)
def test_folders_that_cannot_be_used(arguments, message, check):
    status, _, complaint = check(*arguments)
    assert status == 2
    assert message in complaint


def test_both_parts_of_an_experiment(check, config, tmp_path):
    status, told, _ = check("--config", config, "--json", tmp_path / "deep" / "found.json")
    page = tmp_path / "run" / "check.html"
    assert status == 1
    assert told.startswith("3 errors, ")
    assert re.search(r"ERROR +train: 1 x missing image", told)
    assert re.search(r"WARNING +train: 1 x image with more objects than are kept \(5\)", told)
    assert "ResizeByShort(short_size=144" in told
    assert told.endswith(f"page with pictures: {page}\n")
    assert page.stat().st_size > 100_000
    content = json.loads((tmp_path / "deep" / "found.json").read_text())
    kinds = {one["kind"] for one in content["findings"]}
    assert {"reading", "leak", "double", "two-classes", "no-objects"} <= kinds
    assert content["counts"]["error"] == 3
    assert all(one["count"] == len(one["places"]) for one in content["findings"])


def test_settings_of_the_command_line_win(check, config):
    _, told, _ = check("--config", config, "model.keep_top_k=6")
    assert "more objects than are kept" not in told


@pytest.mark.parametrize(("level", "status"), [("errors", 0), ("warnings", 1), ("never", 0)])
def test_exit_status(check, tiny_coco, tmp_path, level, status):
    """The drawn data has an object in two parts of one class, whose box is given too small."""
    tiny_coco.annotation(11)["bbox"] = [4, 4, 8, 8]
    tiny_coco.save()
    found, told, _ = check(
        *("--data-dir", tiny_coco.data_dir, "--ann-file", tiny_coco.ann_file),
        *("--html", tmp_path / "page.html", "--fail-on", level),
    )
    assert "WARNING data: 1 x box that is not the one around its mask" in told
    assert found == status
    assert (tmp_path / "page.html").is_file()


def test_two_files_are_two_parts(check, flawed, tmp_path):
    status, told, _ = check(
        *("--data-dir", flawed.data_dir, "--ann-file", *flawed.files.values()),
        *("--html", tmp_path / "page.html", "--fail-on", "never"),
    )
    assert status == 0
    assert "image of eval that is exactly one of train" in told


def test_other_formats(check, tmp_path):
    folder = tmp_path / "labelme"
    folder.mkdir()
    shape = {"label": "bolt", "shape_type": "polygon", "points": [[4, 4], [20, 4], [4, 30]]}
    for name in ("a", "b"):
        content = {"imagePath": f"{name}.png", "shapes": [shape]}
        (folder / f"{name}.json").write_text(json.dumps(content))
    FlawedCoco(tmp_path / "pictures").data_dir.joinpath("plain1.png").rename(folder / "a.png")
    status, told, _ = check(
        *("--type", "LabelMeDetection", "--data-dir", folder, "--html", tmp_path / "page.html")
    )
    assert status == 1
    assert "1 x missing image" in told
    assert re.search(r"bolt +1 +100.0%", told)


def test_names_that_no_file_can_hold(check, tiny_coco, tmp_path):
    """Half a character, as json can have it, must not break the page."""
    tiny_coco.content["categories"][0]["name"] = "b\ud800lt"
    tiny_coco.save()
    status, told, _ = check(
        *("--data-dir", tiny_coco.data_dir, "--ann-file", tiny_coco.ann_file),
        *("--html", tmp_path / "page.html", "--json", tmp_path / "found.json"),
    )
    assert status == 0
    assert r"b\ud800lt" in told
    assert r"b\ud800lt" in (tmp_path / "page.html").read_text()
    names = [one["name"] for one in json.loads((tmp_path / "found.json").read_text())["classes"]]
    assert "b\ud800lt" in names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "check needs a folder, --config FILE, or --data-dir DIR"),
        (["--data-dir", "x"], "give --ann-file FILE, or say with --type"),
        (["--ann-file", "x"], "data_dir"),
        (["--config", "x", "--ann-file", "y"], "--ann-file cannot be given with it"),
        (["--type", "Coco", "--data-dir", "x"], "--type is 'Coco'; choose one of CocoDetection"),
        (["--file-list", "x"], "--file-list: say which format it is"),
        (["--data-dir", "x", "--ann-file", "a", "b", "c"], "at most two parts"),
        (["--data-dir", "nowhere", "--ann-file", "a"], "data_dir 'nowhere' is not a folder"),
        (["--data-dir", "x", "--num-workers", "-1"], "--num-workers is -1"),
    ],
)
def test_what_cannot_be_checked_ends_with_status_2(check, arguments, message):
    status, _, complaint = check(*arguments)
    assert status == 2
    assert message in complaint
