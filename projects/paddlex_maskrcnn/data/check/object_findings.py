"""Findings about single annotations."""

from collections.abc import Callable

import numpy as np

from .findings import NOTE, WARNING, Finding, Place, image_name, image_place, object_place
from .objects import SAME_MASK
from .plan import Plan, resized_boxes
from .scan import Scan

TINY = 8  # pixels of the shorter side, as the network sees it
_OFF_PIXELS, _OFF_IOU = 2.0, 0.8
_MANY_TINY = 0.05  # share from which tiny objects are a warning


def object_findings(scan: Scan, plan: Plan) -> list[Finding]:
    """Everything that one annotation, or two of one image, can have wrong with it."""
    return [
        _twins(scan, same_class=True),
        _twins(scan, same_class=False),
        _boxes_off_masks(scan),
        _tiny(scan, plan),
        _holes(scan),
        _crowded(scan, plan),
    ]


def _twins(scan: Scan, same_class: bool) -> Finding:
    first = np.searchsorted(scan.objects.image, np.arange(len(scan.files)))
    places = []
    for twin in scan.twins:
        if twin.same_class == same_class:
            rows = [first[twin.image] + place for place in twin.places]
            names = " and ".join(_named(scan, row) for row in rows)
            text = f"{names} of {image_name(scan, twin.image)}: IoU {twin.iou:.2f}"
            places.append(Place(text, scan.name, twin.image, twin.places, weight=twin.iou))
    if same_class:
        title = f"object annotated twice (same class, mask IoU > {SAME_MASK:g})"
        remedy = "delete one of the two: they compete for the same detection"
        return Finding("double", WARNING, title, remedy, scan.name, places, _counted(scan))
    title = f"object in two classes (mask IoU > {SAME_MASK:g})"
    remedy = "decide on one class: the network learns exactly one for each object"
    return Finding("two-classes", WARNING, title, remedy, scan.name, places, _counted(scan))


def _named(scan: Scan, row: int) -> str:
    objects = scan.objects
    return f"annotation {objects.number[row]} ({scan.labels[int(objects.category[row])]!r})"


def _boxes_off_masks(scan: Scan) -> Finding:
    objects = scan.objects
    off = (objects.box_offset > _OFF_PIXELS) & (objects.box_iou < _OFF_IOU) & ~objects.is_crowd
    places = _places(scan, off, lambda row: f"IoU {objects.box_iou[row]:.2f}", 1 - objects.box_iou)
    remedy = "correct the box or the mask: boxes and masks are learned apart and then contradict"
    title = f"box that is not the one around its mask (IoU < {_OFF_IOU:g})"
    return Finding("box-off-mask", WARNING, title, remedy, scan.name, places, _counted(scan))


def _tiny(scan: Scan, plan: Plan) -> Finding:
    found, rows = resized_boxes(scan, plan)
    shortest = np.full(len(scan.objects), np.inf)
    shortest[rows] = found.boxes[:, 2:].min(axis=1, initial=np.inf)
    places = _places(scan, shortest < TINY, lambda row: f"{shortest[row]:.1f} pixels", -shortest)
    level = WARNING if len(places) > _MANY_TINY * max(1, len(rows)) else NOTE
    remedy = (
        "hardly anything is left of them for the network: raise short_size, cut images into tiles, "
        "or delete specks that nobody meant to draw"
    )
    title = f"object narrower than {TINY} pixels after resizing"
    return Finding("tiny", level, title, remedy, scan.name, places, len(rows))


def _holes(scan: Scan) -> Finding:
    objects = scan.objects
    chosen = (objects.holes > 0) & ~objects.is_crowd
    places = _places(
        scan, chosen, lambda row: _holes_in_words(int(objects.holes[row])), objects.holes
    )
    remedy = "right for rings; fill the specks that a brush has left open"
    return Finding("holes", NOTE, "mask with holes", remedy, scan.name, places, _counted(scan))


def _holes_in_words(count: int) -> str:
    return f"{count} hole" + ("" if count == 1 else "s")


def _crowded(scan: Scan, plan: Plan) -> Finding:
    per_image = scan.per_image
    places = [
        image_place(scan, int(image), f"{per_image[image]} objects", float(per_image[image]))
        for image in np.flatnonzero(per_image > plan.most_detections)
    ]
    remedy = (
        f"raise model.keep_top_k to at least {per_image.max(initial=0)}: the rest can never be "
        f"found (COCO's own evaluation stops at 100 an image, too)"
    )
    title = f"image with more objects than are kept ({plan.most_detections})"
    return Finding("crowded", WARNING, title, remedy, scan.name, places, len(scan.files))


def _places(
    scan: Scan, chosen: np.ndarray, detail: Callable[[int], str], weight: np.ndarray
) -> list[Place]:
    return [
        object_place(scan, int(row), detail(int(row)), float(weight[row]))
        for row in np.flatnonzero(chosen)
    ]


def _counted(scan: Scan) -> int:
    return int((~scan.objects.is_crowd).sum())
