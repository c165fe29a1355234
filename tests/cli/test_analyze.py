"""The command, with a model that was never trained: what it finds is not the point."""

import json

import pytest

from paddlex_maskrcnn import cli


def analyze(capsys, *arguments):
    status = cli.main(["analyze", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_evaluates_and_writes(untrained_run, capsys):
    status, output, errors = analyze(capsys, untrained_run, "--pictures", 2, "--device", "cpu")
    assert status == 0, errors
    assert f"The page is {untrained_run / 'report.html'}" in output
    html = (untrained_run / "report.html").read_text()
    assert "run on instances_val.json" in html
    assert html.count("data:image/jpeg") == 4
    written = {path.name for path in (untrained_run / "evaluation").iterdir()}
    assert written == {
        "bbox_results.json", "segm_results.json", "metrics.json", "eval_details.json",
        "analysis.json", "classes.csv",
    }  # fmt: skip


def test_results_of_an_earlier_evaluation(untrained_run, capsys, tmp_path):
    """Other data by its files, no model and no configuration."""
    shapes = untrained_run.parent / "shapes" / "val"
    (ann_file,) = shapes.glob("*.json")
    truth = json.loads(ann_file.read_text())
    perfect = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"],
         "score": 0.9}
        for one in truth["annotations"]
    ]  # fmt: skip
    (tmp_path / "bbox_results.json").write_text(json.dumps(perfect))
    (tmp_path / "bare").mkdir()
    status, _, errors = analyze(
        capsys, tmp_path / "bare", "--results", tmp_path, "--data-dir", shapes,
        "--ann-file", ann_file, "--output", tmp_path / "out",
    )  # fmt: skip
    assert status == 0, errors
    assert ">1.000<" in (tmp_path / "out" / "report.html").read_text()
    assert not (tmp_path / "bare" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no run directory nowhere"),
        (["RUN", "--data-dir", "x"], "--data-dir and --ann-file belong together"),
        (["RUN", "--model", "nowhere"], "there is no model directory nowhere"),
        (["RUN", "--results", "nowhere"], "there is no segm_results.json and no bbox_results.json"),
        (
            ["BARE", "--results", "x"],
            "has no config.yaml that says which data to use; give --config",
        ),
        (
            ["--results", "x", "RUN", "data.eval=null"],
            "has no data.eval; give another --config",
        ),
    ],
)
def test_mistakes(untrained_run, capsys, tmp_path, arguments, message):
    known = {"RUN": untrained_run, "BARE": tmp_path}
    status, _, errors = analyze(capsys, *[known.get(one, one) for one in arguments])
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
