"""The command, with a model that was never trained: what it finds is not the point."""

import json

import pytest

from paddlex_maskrcnn import cli

CONFIG = """
model: {backbone: ResNet18}
data:
  train: {type: DrawnShapes, data_dir: DIR/shapes, num_images: 2, image_size: 64, num_workers: 0}
  eval: {type: DrawnShapes, data_dir: DIR/shapes, split: val, num_images: 3, image_size: 64, num_workers: 0}
  transforms:
    eval: [Normalize, {ResizeByShort: {short_size: 64}}]
train: {num_epochs: 1, save_dir: DIR/run}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with a configuration and a model of random weights."""
    from paddlex_maskrcnn.config.schema import ModelParams
    from paddlex_maskrcnn.data.datasets import DrawnShapes
    from paddlex_maskrcnn.engine.model_directory import save_model_directory
    from paddlex_maskrcnn.engine.network import ModelCard, build_network
    from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB

    folder = tmp_path_factory.mktemp("analyze")
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text(CONFIG.replace("DIR", str(folder)))
    dataset = DrawnShapes(folder / "shapes", "val", num_images=3, image_size=64)
    params = ModelParams(
        backbone="ResNet18", anchor_sizes=[8, 16, 32, 64, 128], fpn_num_channels=16,
        test_post_nms_top_n=20, keep_top_k=5, score_threshold=0.0,
    )  # fmt: skip
    card = ModelCard(
        params=params, labels=dataset.labels, category_ids=dataset.category_ids,
        input_format=IMAGENET_RGB, pretrained=False,
        transforms=[{"Normalize": {}}, {"ResizeByShort": {"short_size": 64}}],
    )  # fmt: skip
    save_model_directory(folder / "run" / "best_model", build_network(card, "cpu"))
    return folder / "run"


def analyze(capsys, *arguments):
    status = cli.main(["analyze", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_evaluates_and_writes(run, capsys):
    status, output, errors = analyze(capsys, run, "--pictures", 2, "--device", "cpu")
    assert status == 0, errors
    assert f"The page is {run / 'report.html'}" in output
    html = (run / "report.html").read_text()
    assert "run on instances_val.json" in html
    assert html.count("data:image/jpeg") == 4
    written = {path.name for path in (run / "evaluation").iterdir()}
    assert written == {
        "bbox_results.json", "segm_results.json", "metrics.json", "eval_details.json",
        "analysis.json", "classes.csv",
    }  # fmt: skip


def test_results_of_an_earlier_evaluation(run, capsys, tmp_path):
    """Other data by its files, no model and no configuration."""
    shapes = run.parent / "shapes" / "val"
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
    assert "100.0" in (tmp_path / "out" / "report.html").read_text()
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
def test_mistakes(run, capsys, tmp_path, arguments, message):
    known = {"RUN": run, "BARE": tmp_path}
    status, _, errors = analyze(capsys, *[known.get(one, one) for one in arguments])
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
