import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from paddlex_maskrcnn.report.eval_details import read_eval_details


def assert_same(found, plain):
    _, results = plain
    assert found.truth.names == ["bolt", "nut <M8>", "never", "垫圈"]
    for kind, dropped in (("bbox", "segmentation"), ("segm", "bbox")):
        expected = [{k: v for k, v in one.items() if k != dropped} for one in results]
        assert found.results[kind].of_kind(kind) == expected


def test_documented_rows(details, plain):
    assert_same(read_eval_details(None, details["gt"], details["bbox"], details["mask"]), plain)
    assert_same(read_eval_details(details, None, None, None), plain)


def test_files_of_paddlex_and_of_ours(plain, tmp_path):
    """COCO result dicts; and documented rows whose maps were turned into lists."""
    truth, results = plain
    boxes = [{k: v for k, v in one.items() if k != "segmentation"} for one in results]
    masks = [{k: v for k, v in one.items() if k != "bbox"} for one in results]
    path = tmp_path / "eval_details.json"
    path.write_text(json.dumps({"bbox": boxes, "mask": masks, "gt": truth}))
    assert_same(read_eval_details(path, None, None, None), plain)
    assert_same(read_eval_details(str(path), "not", "looked", "at"), plain)
    assert_same(read_eval_details(tmp_path, None, None, None), plain)  # the folder it is in


def test_maps_as_lists_in_a_file(details, plain, tmp_path):
    rows = [[*row[:2], row[2].tolist(), row[3]] for row in details["mask"]]
    path = tmp_path / "eval_details.json"
    path.write_text(json.dumps(details | {"mask": rows}))
    assert_same(read_eval_details(path, None, None, None), plain)


def test_maps_of_whole_images_and_pycocotools_truth(details, plain):
    from pycocotools import mask as coco_mask

    truth = COCO()
    truth.dataset = details["gt"]
    whole = [
        [*row[:2], coco_mask.decode(one["segmentation"]), row[3]]
        for row, one in zip(details["mask"], plain[1], strict=True)
    ]
    found = read_eval_details(None, truth, None, whole)
    assert set(found.results) == {"segm"}
    for one, other in zip(found.results["segm"], plain[1], strict=True):
        assert one["segmentation"] == other["segmentation"]


def test_one_kind_alone(details):
    assert set(read_eval_details(None, details["gt"], details["bbox"], None).results) == {"bbox"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gt": None}, "give eval_details_file, or gt together with pred_bbox"),
        ({"bbox": None, "mask": None}, "give eval_details_file, or gt together"),
        ({"bbox": []}, "pred_bbox is empty: the model found nothing"),
        ({"bbox": None}, "row 0 is the map of a box region; give pred_bbox too"),
    ],
)
def test_what_is_missing(details, change, message):
    details |= change
    with pytest.raises(ValueError, match=message):
        read_eval_details(None, details["gt"], details["bbox"], details["mask"])


def test_rows_that_do_not_belong_together(details):
    details["mask"][0][2] = np.ones((99, 139), np.uint8)
    details["bbox"][0][2] = [30.0, 30.0, 5.0, 5.0]
    with pytest.raises(ValueError, match=r"row 0 is a map of .*, but the box .* has \(5, 5\)"):
        read_eval_details(details, None, None, None)
    details["bbox"][0][0] = 77
    with pytest.raises(ValueError, match="a result has image_id 77"):
        read_eval_details(None, details["gt"], details["bbox"], None)


@pytest.mark.parametrize("content", ["[1]", "{", None])
def test_files_that_are_none(tmp_path, content):
    path = tmp_path / "eval_details.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(
        ValueError, match=r"eval_details_file .*eval_details.json' (is not|holds no)"
    ):
        read_eval_details(path, None, None, None)
