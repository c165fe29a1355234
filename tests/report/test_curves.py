"""The drawn curves: areas are pycocotools' AP, COCO's steps of forgiving on data changed as each says."""

import contextlib
import io

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from paddlex_maskrcnn.report.curves import (
    STEPS,
    class_curves,
    coco_error_analysis,
    draw_pr_curve,
    error_curves,
    pr_figure,
)
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


def test_files_of_pr_curves(details, tmp_path):
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


def by_pycocotools(truth, rows, kind, ious, forgiven=()):
    """(T, 101, K, 4) precision; objects of forgiven classes become crowd regions of the one class."""
    known, results = coco_evaluation.as_coco(truth, kind), rows.of_kind(kind)
    if forgiven:
        one, others = forgiven
        for annotation in known["annotations"]:
            if annotation["category_id"] in others:
                annotation |= {"category_id": one, "iscrowd": 1, "ignore": 1}
        results = [row for row in results if row["category_id"] == one]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = known
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results) if results else COCO(), kind)
        evaluation.params.iouThrs, evaluation.params.maxDets = list(ious), [100]
        evaluation.evaluate()
        evaluation.accumulate()
    found = evaluation.eval["precision"][..., 0]
    return np.where(found < 0, np.nan, found)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_error_curves_equal_pycocotools(plain, kind):
    truth, rows = Truth(plain[0]), ResultRows(plain[1])
    found = error_curves(truth, rows, kind)
    np.testing.assert_allclose(
        found[:3], by_pycocotools(truth, rows, kind, (0.75, 0.5, 0.1)), atol=1e-9
    )
    ids = truth.category_ids.tolist()
    kin = {2: [5], 5: [2], 7: [9], 9: [7]}
    for step, others_of in ((3, kin.get), (4, lambda one: [k for k in ids if k != one])):
        for k, one in enumerate(ids):
            expected = by_pycocotools(truth, rows, kind, [0.1], (one, others_of(one)))
            np.testing.assert_allclose(
                found[step, :, k], expected[0, :, k], atol=1e-9, err_msg=f"{STEPS[step]} {one}"
            )
    assert (found[3] != found[2])[~np.isnan(found[2])].any(), "kin are confused somewhere"
    assert (found[4] != found[3])[~np.isnan(found[2])].any()
    with_objects = ~np.isnan(found[2])
    assert (found[5][with_objects] == (found[4][with_objects] > 0)).all()
    assert (found[6][with_objects] == 1).all()


def test_without_super_categories_every_class_is_alone(plain):
    for one in plain[0]["categories"]:
        one["supercategory"] = "none"
    found = error_curves(Truth(plain[0]), ResultRows(plain[1]), "bbox")
    np.testing.assert_array_equal(found[3], found[2])


def test_files_of_the_error_analysis(details, tmp_path):
    truth = details["gt"]
    truth["categories"] = [c for c in truth["categories"] if c["id"] == 5]  # quicker
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] == 5]
    masks = [row for row in details["mask"] if row[1] == 5]
    boxes = [row for row in details["bbox"] if row[1] == 5]
    coco_error_analysis(gt=truth, pred_bbox=boxes, pred_mask=masks, save_dir=tmp_path)
    expected = {
        f"{kind}/{kind}-{name}-{area}.png"
        for kind in ("bbox", "segm")
        for name in ("allclass", "nut _M8_")
        for area in ("allarea", "small", "medium", "large")
    }
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png")} == expected


def test_nothing_found(details, tmp_path):
    with pytest.raises(ValueError, match="pred_bbox is empty"):
        coco_error_analysis(gt=details["gt"], pred_bbox=[], save_dir=tmp_path)
