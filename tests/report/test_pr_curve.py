"""The areas under the drawn curves are pycocotools' AP."""

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from paddlex_maskrcnn.report.pr_curve import class_curves, draw_pr_curve, pr_figure
from reference import coco_evaluation


def ap_by_pycocotools(truth, rows, kind, iou):
    evaluation = coco_evaluation.evaluate(truth, rows, kind, 100, [iou])
    return evaluation.eval["precision"][0, :, :, 0, -1].mean(axis=0)


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_areas_under_the_drawn_curves(plain, kind, iou):
    truth, rows = Truth(plain[0]), ResultRows(plain[1])
    expected = ap_by_pycocotools(truth, rows, kind, iou)
    figure = pr_figure(class_curves(truth, rows, kind, iou), truth.names, "")
    left, right = figure.axes
    areas = {line.get_label()[7:]: line.get_ydata().mean() for line in left.get_lines()}
    assert set(areas) == {"bolt", "nut <M8>", "垫圈", "mean"}, "the class without objects has none"
    for name, value in zip(truth.names, expected, strict=True):
        if value >= 0:
            assert areas[name] == pytest.approx(value, abs=1e-9)
            assert 0.02 < value < 0.98
    assert areas["mean"] == pytest.approx(expected[expected >= 0].mean(), abs=1e-9)
    for line in right.get_lines():
        scores = line.get_ydata()
        assert (np.diff(scores) <= 0).all(), "more recall costs score"


def test_files(details, tmp_path):
    draw_pr_curve(gt=details["gt"], pred_bbox=details["bbox"], pred_mask=details["mask"],
                  save_dir=tmp_path / "new")  # fmt: skip
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"bbox_pr_curve(iou-0.5).png", "segm_pr_curve(iou-0.5).png"}
    for name in names:
        picture = cv2.imread(str(tmp_path / "new" / name))
        assert picture.shape[1] >= 1600
        assert picture.std() > 10, "something is drawn"
    del details["mask"]
    draw_pr_curve(details, iou_thresh=0.75, save_dir=str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.png")] == ["bbox_pr_curve(iou-0.75).png"]


def test_many_classes_have_a_short_legend(plain):
    truth, rows = Truth(plain[0]), ResultRows(plain[1])
    found = class_curves(truth, rows, "bbox", 0.5)[:1] * 40
    figure = pr_figure(found, [f"class {k}" for k in range(40)], "many")
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 15
    assert legend.get_texts()[-1].get_text().endswith("mean")


@pytest.mark.parametrize("iou", [0, 0.05, 1.5])
def test_wrong_iou(details, iou):
    with pytest.raises(ValueError, match=rf"iou_thresh is {iou}; allowed: 0.1 to 1"):
        draw_pr_curve(details, iou_thresh=iou)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="give eval_details_file"):
        draw_pr_curve()
