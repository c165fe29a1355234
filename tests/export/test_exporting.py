"""What a file says about itself."""

import json
from dataclasses import replace

import onnx
import pytest
import torch

from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.export.exporting import metadata_of


def said(network, operators):
    pipeline = transforms.Compose(operators).deterministic()
    texts = metadata_of(network.card, pipeline, 32)
    return {key: json.loads(text) for key, text in texts.items()}


def test_an_onnx_file_carries_it(exported):
    model, path, _ = exported
    texts = {one.key: one.value for one in onnx.load(str(path)).metadata_props}
    about = {key: json.loads(text) for key, text in texts.items()}
    assert about["format_version"] == 1
    assert about["labels"] == model.labels
    assert about["category_ids"] == [3, 7, 8]
    assert about["preprocessing"]["channel_order"] == "BGR"
    assert about["preprocessing"]["steps"] == [
        {"name": "ResizeByShort", "short_size": 64, "max_size": 96}
    ]
    assert about["preprocessing"]["in_graph"]["pixel_mean"] == [110.0] * 3
    assert about["postprocessing"] == {
        "mask_threshold": 0.5, "score_threshold": 0.1, "nms": "MultiClassNMS",
        "nms_threshold": 0.5, "keep_top_k": 10,
    }  # fmt: skip
    assert about["versions"]["torch"] == torch.__version__


def test_random_operators_are_left_out_and_random_choices_fixed(exported):
    about = said(
        exported[0].network,
        [
            transforms.RandomHorizontalFlip(),
            transforms.CLAHE(3.0),
            transforms.ResizeByShort([480, 640], 900),
            transforms.Resize([300, 200], interp="CUBIC"),
            transforms.Padding(64),
        ],
    )
    assert about["preprocessing"]["steps"] == [
        {"name": "CLAHE", "clip_limit": 3.0, "tile_grid_size": [8, 8]},
        {"name": "ResizeByShort", "short_size": 640, "max_size": 900},
        {"name": "Resize", "width": 300, "height": 200, "interp": "CUBIC"},
    ]
    padding = {"coarsest_stride": 64, "target_size": None}
    assert about["preprocessing"]["in_graph"]["padding"] == padding


def test_names_in_any_language_stay(exported):
    network = exported[0].network
    named = replace(network, card=replace(network.card, labels=["圆", "carré", "star"]))
    assert said(named, [transforms.ResizeByShort(64)])["labels"] == ["圆", "carré", "star"]


def test_an_operator_without_words_is_refused(exported):
    class Solarize(transforms.Operator):
        pass

    with pytest.raises(ValueError, match="Solarize, which an exported file cannot describe"):
        said(exported[0].network, [Solarize()])
