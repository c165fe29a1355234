"""What the comparison calls the same, what it accepts, and what it refuses."""

import numpy as np
import pytest
import torch

from paddlex_maskrcnn.export.exporting import export_network
from paddlex_maskrcnn.export.verification import Objects, inputs_of, match, verify
from paddlex_maskrcnn.modeling.box_predictor import scores_above

TOLERANCE = 1e-3


def found(*objects) -> Objects:
    """Objects from (left, score, label), with sides of ten pixels."""
    left = np.array([one[0] for one in objects], np.float32).reshape(-1, 1)
    return Objects(
        np.concatenate([left, left, left + 10, left + 10], axis=1),
        np.array([one[1] for one in objects], np.float32),
        np.array([one[2] for one in objects], np.int64),
        np.full((len(objects), 4, 4), 0.5, np.float32),
    )


def test_objects_are_paired_whatever_their_order():
    first = found((0, 0.9, 0), (50, 0.8, 1), (20, 0.7, 0))
    second = found((20.01, 0.7001, 0), (0, 0.9, 0), (50, 0.8, 1))
    matched = match(first, second, TOLERANCE)
    assert sorted(matched.pairs) == [(0, 1), (1, 2), (2, 0)]
    assert matched.alone == matched.others_alone == []
    assert matched.differences.box == pytest.approx(0.01, abs=1e-4)
    assert matched.differences.score == pytest.approx(1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "other",
    [(0.2, 0.9, 0), (0, 0.9 + 2e-3, 0), (0, 0.9, 1), (np.nan, 0.9, 0)],
    ids=["box", "score", "class", "nan"],
)
def test_what_differs_by_more_than_the_tolerance_is_not_the_same(other):
    matched = match(found((0, 0.9, 0)), found(other), TOLERANCE)
    assert (matched.alone, matched.others_alone) == ([0], [0])


def test_masks_count():
    first, second = found((0, 0.9, 0)), found((0, 0.9, 0))
    second.masks[0, 3, 3] += 2e-3
    assert match(first, second, TOLERANCE).alone == [0]


def test_each_object_is_paired_once():
    matched = match(found((0, 0.9, 0), (0, 0.9, 0)), found((0, 0.9, 0)), TOLERANCE)
    assert (len(matched.pairs), len(matched.alone)) == (1, 1)


def test_empty_results():
    assert match(found(), found(), TOLERANCE).pairs == []
    assert match(found(), found((0, 0.5, 0)), TOLERANCE).others_alone == [0]


class AsPyTorch:
    """The network itself in place of a file, its result changed by a function."""

    name = "the file"

    def __init__(self, module, change=lambda found: found) -> None:
        self._module, self._change = module, change

    @torch.no_grad()
    def __call__(self, image, threshold):
        with scores_above(threshold):
            [one] = self._module.inference([{"image": image}], do_postprocess=False)
        tensors = one.pred_boxes.tensor, one.scores, one.pred_classes, one.pred_masks[:, 0]
        return self._change([tensor.numpy().copy() for tensor in tensors])


@pytest.fixture(scope="module")
def network(build_tiny):
    return build_tiny()


@pytest.fixture(scope="module")
def inputs(network):
    return inputs_of(network.card, network.card.test_transforms())[:2]


def test_the_same_network_passes(network, inputs):
    report = verify(network.module, inputs, AsPyTorch(network.module))
    assert report.wrong == []
    assert (report.images, report.on_edge) == (2, 0)
    assert report.objects >= 10
    assert report.differences.box == 0
    assert "objects on 2 images" in str(report)


def without_the_best(arrays):
    return [one[1:] for one in arrays]


def other_class(arrays):
    arrays[2][0] = (arrays[2][0] + 1) % 3
    return arrays


def moved(arrays):
    arrays[0][0] += 1
    return arrays


@pytest.mark.parametrize("change", [without_the_best, other_class, moved])
def test_a_stable_object_that_is_not_found_is_wrong(network, inputs, change):
    report = verify(network.module, inputs, AsPyTorch(network.module, change))
    assert len(report.wrong) >= 2
    assert report.wrong[0].startswith("drawn 640x480: only PyTorch has class")


def test_what_pytorch_does_not_hold_on_to_is_accepted_and_counted(network, inputs, monkeypatch):
    """A file that sees the best object as PyTorch does after a nudge, and so passes."""
    from paddlex_maskrcnn.export import verification

    real = verification._Nudged.__iter__

    def loses_one(self):
        for one in real(self):
            yield Objects(one.boxes[1:], one.scores[1:], one.labels[1:], one.masks[1:])

    monkeypatch.setattr(verification._Nudged, "__iter__", loses_one)
    runner = AsPyTorch(network.module, without_the_best)
    report = verify(network.module, inputs, runner)
    assert report.on_edge == 2
    assert "2 more are decided by rounding, in PyTorch too" in str(report)
    assert report.wrong == []  # of more than 10 objects


def test_too_many_on_the_edge_are_no_comparison(network, inputs, monkeypatch):
    from paddlex_maskrcnn.export import verification

    nothing = found()
    monkeypatch.setattr(verification._Nudged, "__iter__", lambda _: iter([nothing]))
    runner = AsPyTorch(network.module, lambda arrays: [one[:3] for one in arrays])
    report = verify(network.module, inputs, runner)
    assert "too many to call the rest a comparison" in report.wrong[-1]


def test_the_threshold_is_lowered_until_there_is_something_to_compare(network, inputs):
    predictor = network.module.roi_heads.box_predictor
    # above every score that a network of random weights gives
    own, predictor.test_score_thresh = predictor.test_score_thresh, 0.9999999
    try:
        report = verify(network.module, inputs, AsPyTorch(network.module))
        assert predictor.test_score_thresh == 0.9999999
    finally:
        predictor.test_score_thresh = own
    assert report.threshold < 0.9999999
    assert report.objects >= 10


def test_nothing_to_compare_is_an_error(build_tiny, inputs):
    module = build_tiny().module
    module.roi_heads.box_predictor.cls_score.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="nothing can be compared; give images with objects"):
        verify(module, inputs, AsPyTorch(module))


def test_a_file_that_fails_keeps_another_name(network, inputs, tmp_path, monkeypatch):
    from paddlex_maskrcnn.export import exporting

    monkeypatch.setattr(exporting, "inputs_of", lambda *_: inputs[:1])

    class Wrong(AsPyTorch):
        def __init__(self, path) -> None:
            super().__init__(network.module, moved)

    path = tmp_path / "model.pt"
    path.write_text("an older export")
    monkeypatch.setitem(
        exporting._KINDS, "torchscript", (lambda _net, to, *_: to.write_text("new"), Wrong)
    )
    with pytest.raises(ValueError, match="does not find what the network finds"):
        export_network(network, path, "torchscript")
    assert path.read_text() == "an older export"
    assert (tmp_path / "model.wrong.pt").read_text() == "new"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "tensorrt"}, "to is 'tensorrt'; choose one of onnx, torchscript"),
        ({"tolerance": 0}, "tolerance is 0; give a number above 0"),
    ],
)
def test_bad_arguments(network, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_network(network, tmp_path / "x", **{"to": "onnx", **arguments})


def test_a_model_without_transforms_needs_some(network, tmp_path):
    from dataclasses import replace

    bare = replace(network, card=replace(network.card, transforms=None))
    with pytest.raises(ValueError, match="transforms are needed"):
        export_network(bare, tmp_path / "x", "torchscript")
