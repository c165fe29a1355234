import csv
import json

import pytest

from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.report.run_report import (
    compare_results,
    read_results,
    read_run,
    write_run_report,
)


@pytest.fixture
def rows(tiny_coco):
    """Every object of the tiny data found, one of them twice."""
    truth = tiny_coco.open().coco_gt
    results = ResultRows()
    for n, one in enumerate(truth.dataset["annotations"]):
        for score in (0.9, 0.3) if n == 0 else (0.8,):
            results.append(
                {"image_id": one["image_id"], "category_id": one["category_id"], "score": score,
                 "bbox": one["bbox"], "segmentation": truth.annToRLE(one)}
            )  # fmt: skip
    return results


def write(run_dir, dataset, rows, **page):
    """The page about rows of both kinds, or of those that a dict has."""
    results = rows if isinstance(rows, dict) else {"segm": rows, "bbox": rows}
    comparisons = compare_results(results, dataset, run_dir)
    return write_run_report(run_dir, dataset, comparisons, **page)


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "my run"
    (folder / "best_model").mkdir(parents=True)
    (folder / "best_model" / "model.yml").write_text(
        "version: 9.9\nparams: {backbone: ResNet18}\ncompleted_epochs: 3\n"
    )
    (folder / "config.yaml").write_text("model: {backbone: ResNet18}\n")
    row = {"kind": "train", "epoch": 1, "step": 5, "loss": 1.0, "lr": 0.1}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + '\n{"kind": "tra')
    return folder


def test_writes_page_and_numbers(tiny_coco, rows, run_dir):
    path = write(run_dir, tiny_coco.open(), rows, note="remarkable")
    assert path == run_dir / "report.html"
    html = path.read_text()
    for text in ("my run on instances.json", "ResNet18", "trained epochs", "9.9", "remarkable",
                 "Losses", "Configuration of the run"):  # fmt: skip
        assert text in html
    numbers = json.loads((run_dir / "evaluation" / "analysis.json").read_text())
    assert set(numbers) == {"segm", "bbox"}
    assert numbers["segm"]["average_precision"]["ap50"] == pytest.approx(1)
    table = list(csv.DictReader((run_dir / "evaluation" / "classes.csv").open()))
    assert [(one["kind"], one["name"]) for one in table] == [
        ("segm", "nut"), ("segm", "bolt"), ("bbox", "nut"), ("bbox", "bolt"),
    ]  # fmt: skip


def test_as_many_detections_count_as_the_model_leaves(tiny_coco, rows, run_dir):
    """A hundred false ones stand before the right one, as in pictures of many small objects."""
    first = rows[0] | {"bbox": [50.0, 0.0, 3.0, 3.0], "score": 0.95}
    crowded = {"bbox": ResultRows([*rows, *[first] * 100])}
    found = []
    for limit in ("", ", keep_top_k: 150"):
        card = f"params: {{backbone: ResNet18{limit}}}\n"
        (run_dir / "best_model" / "model.yml").write_text(card)
        write(run_dir, tiny_coco.open(), crowded, num_pictures=0)
        numbers = json.loads((run_dir / "evaluation" / "analysis.json").read_text())
        found.append(numbers["bbox"]["average_precision"]["recall"])
    assert found[0] < found[1] == 1


def test_no_absolute_path_leaves_the_machine(tiny_coco, rows, run_dir):
    rows.append(rows[0] | {"score": 0.95, "bbox": [0.0, 0.0, 3.0, 3.0]})
    dataset = tiny_coco.open()
    html = write(run_dir, dataset, {"bbox": rows}).read_text()
    assert "1.png" in html
    assert str(tiny_coco.data_dir) not in html


def test_another_output_and_no_record_of_the_run(tiny_coco, rows, tmp_path):
    path = write(tmp_path / "none", tiny_coco.open(), rows, output=tmp_path / "out", num_pictures=0)
    assert path == tmp_path / "out" / "report.html"
    assert "<img" not in path.read_text()


def test_boxes_alone(tiny_coco, rows, tmp_path):
    boxes = ResultRows(rows.of_kind("bbox"))
    write(tmp_path, tiny_coco.open(), {"bbox": boxes}, num_pictures=1)
    assert list(json.loads((tmp_path / "evaluation" / "analysis.json").read_text())) == ["bbox"]


def test_reads_result_files(rows, tmp_path):
    for kind in ("bbox", "segm"):
        (tmp_path / f"{kind}_results.json").write_text(json.dumps(rows.of_kind(kind)))
    found = read_results(tmp_path)
    assert found["bbox"].of_kind("bbox") == rows.of_kind("bbox")
    assert found["segm"].of_kind("segm") == rows.of_kind("segm")
    (tmp_path / "bbox_results.json").write_text('[{"score": 1}]')
    with pytest.raises(ValueError, match=r"bbox_results.json is no list of COCO results: KeyError"):
        read_results(tmp_path)
    with pytest.raises(ValueError, match=r"no segm_results.json and no bbox_results.json in"):
        read_results(tmp_path / "empty")


def test_results_of_other_data(tiny_coco, rows, tmp_path):
    rows.append(rows[0] | {"image_id": 999})
    with pytest.raises(ValueError, match="a result has image_id 999"):
        write(tmp_path, tiny_coco.open(), rows)
    with pytest.raises(ValueError, match="there are no results of segm or bbox to analyse"):
        write(tmp_path, tiny_coco.open(), {})


def test_a_run_without_files(tmp_path):
    run = read_run(tmp_path)
    assert (run.rows, run.config, run.card) == ([], "", {})


def test_the_broken_last_line_of_a_killed_run_is_left_out(run_dir):
    assert len(read_run(run_dir).rows) == 1
