"""pycocotools' evaluation, the reference of ours."""

import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def as_coco(truth, kind):
    """A COCO dict of a `Truth`: fresh, since evaluators write into it, and annotation ids from 1.

    pycocotools takes an annotation with id 0 for no match at all, and its AP is too low then. Masks are
    in run-length form, so that nothing depends on how polygons are read.
    """
    annotations = [
        {
            "id": i + 1,
            "image_id": int(truth.image_ids[truth.images[i]]),
            "category_id": int(truth.category_ids[truth.classes[i]]),
            "bbox": truth.boxes[i].tolist(),
            "area": float(truth.areas[i]),
            "iscrowd": int(truth.crowd[i]),
        }
        for i in range(len(truth.classes))
    ]
    if kind == "segm":
        for row, mask in zip(annotations, truth.masks, strict=True):
            row["segmentation"] = mask
    return {
        "images": [
            {"id": number, "height": height, "width": width}
            for number, (height, width) in zip(
                truth.image_ids.tolist(), truth.sizes.tolist(), strict=True
            )
        ],
        "categories": [
            {"id": number, "name": name}
            for number, name in zip(truth.category_ids.tolist(), truth.names, strict=True)
        ],
        "annotations": annotations,
    }


def evaluate(truth, rows, kind, limit=100, ious=None):
    """The `COCOeval` of results, accumulated; its own IoUs and sizes, so that ours are compared too.

    Args:
        truth, rows: a `Truth` and `ResultRows`.
        limit: results of a class in an image that count.
        ious: instead of COCO's.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = as_coco(truth, kind)
        annotated.createIndex()
        # loadRes cannot take an empty list
        detected = annotated.loadRes(rows.of_kind(kind)) if len(rows) else COCO()
        evaluation = COCOeval(annotated, detected, kind)
        evaluation.params.maxDets = [limit]
        if ious is not None:
            evaluation.params.iouThrs = list(ious)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation
