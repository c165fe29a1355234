"""COCO's steps of forgiving against pycocotools on data changed as each step says."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth
from paddlex_maskrcnn.report.error_analysis import STEPS, coco_error_analysis, error_curves
from reference import coco_evaluation


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
def test_equals_pycocotools(plain, kind):
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


def test_files(details, tmp_path):
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
