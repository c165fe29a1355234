"""What several commands are tried on."""

import pytest

CONFIG = """
model: {backbone: ResNet18}
data:
  train: {type: DrawnShapes, data_dir: DIR/shapes, num_images: 2, image_size: 64, num_workers: 0}
  eval: {type: DrawnShapes, data_dir: DIR/shapes, split: val, num_images: 3, image_size: 64, num_workers: 0}
  transforms:
    eval: [Normalize, {ResizeByShort: {short_size: 64}}]
train: {num_epochs: 1, save_dir: DIR/run}
"""


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory):
    """A run's folder with a configuration and a model of random weights."""
    from paddlex_maskrcnn.config.schema import ModelParams
    from paddlex_maskrcnn.data.datasets import DrawnShapes
    from paddlex_maskrcnn.inference.model_directory import save_model_directory
    from paddlex_maskrcnn.inference.network import ModelCard, build_network
    from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB

    folder = tmp_path_factory.mktemp("untrained_run")
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


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """A folder of LabelMe files."""
    from paddlex_maskrcnn.data.convert.convert import convert
    from paddlex_maskrcnn.data.datasets import DrawnShapes

    folder = tmp_path_factory.mktemp("labelled")
    convert(
        DrawnShapes(folder / "drawn", num_images=6, image_size=64), "labelme", folder / "photos"
    )
    return folder / "photos"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
