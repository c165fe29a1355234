"""One comparison, from which all numbers of an evaluation come."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools.coco import COCO

from paddlex_maskrcnn.metrics import evaluation as evaluation_module
from paddlex_maskrcnn.metrics.analysis import analyse
from paddlex_maskrcnn.metrics.evaluation import Evaluation, compare, without_nan
from paddlex_maskrcnn.metrics.matching import match
from paddlex_maskrcnn.metrics.results import ResultRows


def dataset_of(scene):
    coco = COCO()
    coco.dataset = scene.truth
    return SimpleNamespace(name="val.json", coco_gt=coco)


def evaluate(scene, metric="COCO"):
    return Evaluation.of(dataset_of(scene), ResultRows(scene.results), metric, 100)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_parts_of_a_comparison_agree(scene, kind):
    found = compare(scene.truth, scene.results, kind)
    alone = match(found.overlaps, 0.5)
    np.testing.assert_array_equal(found.matches.target, alone.target)
    np.testing.assert_array_equal(found.matches.counts, alone.counts)
    ap50 = [curve.average_precision for curve in found.curves]
    assert list(found.average_precision.ap50_by_class.values()) == pytest.approx(ap50, nan_ok=True)
    right = int(found.matches.right.sum())
    assert found.together.recall[-1] == right / found.average_precision.overall.num_objects


def test_everything_is_computed_once(scene, monkeypatch):
    """Truth, overlaps and average precision of a page are those of the evaluation."""
    calls = []

    def counted(name, function):
        def call(*arguments, **more):
            calls.append(name)
            return function(*arguments, **more)

        return call

    once = ("find_overlaps", "match_all_sizes", "average_precision")
    for name in once:
        function = getattr(evaluation_module, name)
        monkeypatch.setattr(evaluation_module, name, counted(name, function))
    found = evaluate(scene)
    analyses = [analyse(found.comparisons[kind]) for kind in ("segm", "bbox")]
    assert calls == [*once, *once]
    assert analyses[0].truth is analyses[1].truth
    assert analyses[0].average_precision is found.segm


def test_files_and_analysis_have_the_same_numbers(scene, tmp_path):
    found = evaluate(scene)
    found.write(tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    for kind in ("bbox", "segm"):
        plain = without_nan(analyse(found.comparisons[kind]).as_plain())
        assert plain["average_precision"] == written[kind]
        assert plain["all_classes_at_best_score"] == written[kind]["overall"]
    assert written["segm_mmap"] == found.segm.ap
    assert not (tmp_path / "eval_details.json").exists()
    assert evaluate(scene, "VOC").metrics == {
        "bbox_map": found.bbox.ap50, "segm_map": found.segm.ap50,
    }  # fmt: skip


def test_notes(empty_scene):
    scene = empty_scene()
    assert "val.json has no annotated object" in evaluate(scene).note
    scene.annotate(1, 1, [10, 10, 50, 60])
    assert evaluate(scene).note == "", "nothing detected is explained by who knows the network"
    scene.detect(1, 2, [10, 10, 50, 60], 0.9)
    assert "1 overlap an object of another class by half" in evaluate(scene).note
    scene.detect(1, 1, [10, 10, 50, 60], 0.9)
    assert evaluate(scene).note == ""


def test_a_short_repr(scene):
    """In a notebook it is shown after the cell."""
    assert "ResultRows" not in repr(evaluate(scene))


def test_without_nan():
    value = {"a": float("nan"), "b": [1.0, np.nan], "c": np.array([1, 2]), "d": "text"}
    assert without_nan(value) == {"a": None, "b": [1.0, None], "c": [1, 2], "d": "text"}
