"""PaddleX's command forms do what `convert`, `split` and `export` do."""

import json

import cv2
import numpy as np
import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn import cli
from paddlex_maskrcnn.compat.command import as_command
from reference.tiny_sets import EasyData, draw
from support.untrained import LABELS, save_untrained


def translated(line):
    return " ".join(as_command(line.split(), "paddlex-maskrcnn"))


def test_from_labelled_pictures_to_parts(tmp_path, capsys):
    """--data_conversion and then --split_dataset, as PaddleX's guide has them."""
    pictures, annotations, target = (tmp_path / name for name in ("pics", "json", "set"))
    pictures.mkdir()
    annotations.mkdir()
    for k in range(10):
        cv2.imwrite(str(pictures / f"{k}.png"), np.full((20, 30, 3), k, np.uint8))
        shape = {"label": "dog", "points": [[2, 3], [12, 3], [12, 13]], "shape_type": "polygon"}
        content = {"shapes": [shape], "imagePath": f"{k}.png", "imageHeight": 20, "imageWidth": 30}
        (annotations / f"{k}.json").write_text(json.dumps({**content, "imageData": None}))
    command = f"--data_conversion --source labelme --to MSCOCO --pics {pictures}"
    assert (
        cli.main([*command.split(), f"--annotations={annotations}", "--save_dir", str(target)]) == 0
    )
    assert "paddlex-maskrcnn convert --from labelme" in capsys.readouterr().out
    assert len(list((target / "JPEGImages").iterdir())) == 10
    command = (
        f"--split_dataset --format COCO --dataset_dir {target} --val_value 0.2 --test_value 0.1"
    )
    assert cli.main(command.split()) == 0
    sizes = {}
    for part in ("train", "val", "test"):
        data = pdx.datasets.CocoDetection(target / "JPEGImages", target / f"{part}.json")
        sizes[part] = data.num_samples
    assert sizes == {"train": 7, "val": 2, "test": 1}
    assert cli.main(command.split()) == 2
    assert "exists; name another folder, or say --force" in capsys.readouterr().err
    assert cli.main([*command.split(), "--force"]) == 0


def test_easydata(tmp_path):
    for name in ("JPEGImages", "Annotations"):
        (tmp_path / name).mkdir()
    draw(tmp_path / "JPEGImages")
    EasyData(tmp_path)
    (tmp_path / "b.json").rename(tmp_path / "Annotations" / "a.json")
    (tmp_path / "list.txt").unlink()
    command = f"--data_conversion --source easydata --to MSCOCO --pics {tmp_path / 'JPEGImages'}"
    where = ["--annotations", str(tmp_path / "Annotations"), "--save_dir", str(tmp_path / "set")]
    assert cli.main([*command.split(), *where]) == 0
    target = tmp_path / "set"
    data = pdx.datasets.CocoDetection(target / "JPEGImages", target / "annotations.json")
    assert (data.num_samples, sorted(data.labels)) == (1, ["cat", "dog"])


@pytest.mark.long
def test_export(tmp_path):
    saved = save_untrained(tmp_path / "saved")
    command = f"--export_inference --model_dir {saved} --save_dir {tmp_path / 'out'}"
    assert cli.main([*command.split(), "--fixed_input_shape=[128,96]"]) == 0
    predictor = pdx.deploy.Predictor(tmp_path / "out")
    assert predictor.labels == LABELS
    assert predictor.predict(np.zeros((64, 96, 3), np.uint8)) is not None


def test_translations():
    assert translated("--model_dir m --export_inference --save_dir s") == (
        "export m --to folder --output s"
    )
    assert translated("--export_onnx --model_dir m --save_dir s --fixed_input_shape 64,32") == (
        "export m --to folder --output s --fixed-input-shape 64 32"
    )
    source = "--data_conversion --source LabelMe --pics p --annotations a --save_dir s"
    assert translated(f"{source} --to PascalVOC --force") == (
        "convert --from labelme a --image-dir p --to voc s --force"
    )


CONVERT = "--data_conversion --pics p --annotations a --save_dir s"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--split_dataset --dataset_dir d", "--split_dataset needs --format, --val_value"),
        (
            "--split_dataset --dataset_dir d --format VOC --val_value 0.2",
            "here COCO only; `paddlex",
        ),
        (
            "--split_dataset --dataset_dir d --format COCO --val_value 0.2",
            "needs d.annotations.json",
        ),
        (f"{CONVERT} --source jingling --to MSCOCO", "the tool no longer exists"),
        (
            "--data_conversion --pics x/p --annotations a --save_dir s --source easydata --to MSCOCO",
            "have to be in one folder",
        ),
        (f"{CONVERT} --source labelme --to SEG", "that is for other tasks"),
        ("--export_inference --model_dir m", "--export_inference needs --save_dir"),
        (
            "--export_inference --model_dir m --save_dir s --fixed_input_shape 64",
            r"\[width,height\]",
        ),
    ],
)
def test_what_is_missing_or_not_done_here(line, message, capsys):
    with pytest.raises(ValueError, match=message):
        translated(line)
    assert cli.main(line.split()) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_other_options_are_ours():
    with pytest.raises(SystemExit):
        cli.main(["--no_such_form"])
