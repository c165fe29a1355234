"""The command, with a model that was never trained: what it finds is not the point."""

import json

import pytest

from paddlex_maskrcnn import cli


def evaluate(capsys, *arguments):
    status = cli.main(["evaluate", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_tables_and_files(untrained_run, capsys, tmp_path):
    """The numbers are those of `MaskRCNN.evaluate`, whatever the batch size."""
    import paddlex_maskrcnn as pdx

    model = pdx.load_model(untrained_run / "best_model", "cpu")
    shapes = untrained_run.parent / "shapes" / "val"
    (ann_file,) = shapes.glob("*.json")
    metrics = model.evaluate(pdx.datasets.CocoDetection(shapes, ann_file, num_workers=0))
    status, output, errors = evaluate(
        capsys, untrained_run / "best_model", "--output", tmp_path / "out", "--device", "cpu",
        "--batch-size", 2,
    )  # fmt: skip
    assert status == 0, errors
    assert "APm" in output + errors
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {name: written[name] for name in metrics} == pytest.approx(metrics, abs=1e-12)
    assert written["bbox"]["ap"] == pytest.approx(model.last_evaluation.bbox.ap, abs=1e-12)
    assert json.loads((tmp_path / "out" / "segm_results.json").read_text())


def test_scripts_that_choose_a_back_end_go_on(untrained_run, capsys, caplog):
    status, output, errors = evaluate(
        capsys, untrained_run / "best_model", "--backend", "hotcoco", "--device", "cpu"
    )
    assert status == 0, errors
    assert "bbox_mmap=" in output + errors
    notes = [one for one in caplog.messages if "backend is no longer a setting" in one]
    assert len(notes) == 1


def test_other_data_and_voc(untrained_run, capsys):
    shapes = untrained_run.parent / "shapes" / "val"
    (ann_file,) = shapes.glob("*.json")
    status, output, errors = evaluate(
        capsys, untrained_run / "best_model", "--data-dir", shapes, "--ann-file", ann_file,
        "--metric", "VOC", "--device", "cpu",
    )  # fmt: skip
    assert status == 0, errors
    assert "bbox_map=" in output + errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no model directory nowhere"),
        (["MODEL", "--ann-file", "x"], "--data-dir and --ann-file belong together"),
        (["MODEL", "--batch-size", "0"], "batch_size is 0"),
        (["MODEL", "data.eval=null"], "has no data.eval; give another --config"),
    ],
)
def test_mistakes(untrained_run, capsys, arguments, message):
    given = [untrained_run / "best_model" if one == "MODEL" else one for one in arguments]
    status, _, errors = evaluate(capsys, *given)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors


def test_no_model(capsys):
    """The settings that may follow are not asked for."""
    with pytest.raises(SystemExit):
        cli.main(["evaluate"])
    assert capsys.readouterr().err.rstrip().endswith("arguments are required: MODEL_DIR")
