"""The images of a written data set: unique names in a folder, copies or links, records made upright.

Every format but COCO's takes upright pixels for granted: a record whose annotations were drawn on the
stored pixels of a turned photograph is turned with it.
"""

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util

from ..datasets.annotations import bounds_of
from ..datasets.records import Record
from ..image_headers import file_bytes, orientation_of, read_header, swaps_sides
from ..images import turned
from ..masks import as_text

# first two bytes of a picture inside a LabelMe json -> the suffix that its file gets
_SUFFIX_OF = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"RI": ".webp"}


def names_for(records: Iterable[Record], taken: Collection[str] = ()) -> dict[int, str]:
    """Image id -> file name; stems differ in more than case, since annotation files share them.

    Args:
        taken: stems that belong to others, in lower case.
    """
    names: dict[int, str] = {}
    taken = set(taken)
    for record in records:
        path = Path(record["file_name"])
        stem, suffix = path.stem, path.suffix
        if suffix.lower() == ".json":
            suffix = _SUFFIX_OF.get(file_bytes(path)[:2].tobytes(), ".png")
        number = 0
        while (
            name := f"{stem}_{record['image_id']}_{number}" if number else stem
        ).lower() in taken:
            number += 1
        taken.add(name.lower())
        names[record["image_id"]] = name + suffix
    return names


def put(source: str, target: Path, how: str) -> None:
    """Copy or link a picture to where it goes; pixels inside a LabelMe json are always written out.

    Args:
        how: 'copy' or 'symlink'.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.lower().endswith(".json"):
        target.write_bytes(file_bytes(Path(source)).tobytes())
    elif how == "symlink":
        os.symlink(os.path.abspath(source), target)
    else:
        shutil.copyfile(source, target)


def upright(record: Record) -> Record:
    """The record for the picture as it is shown; itself where that is what it is for."""
    size = record["height"], record["width"]
    header = read_header(record["file_name"])
    if size == header.upright and not record.get("as_stored"):
        return record
    orientation = orientation_of(file_bytes(Path(record["file_name"])))
    annotations = [_turned(annotation, orientation, size) for annotation in record["annotations"]]
    height, width = header.upright
    turned_record = {**record, "height": height, "width": width, "annotations": annotations}
    turned_record.pop("as_stored", None)
    return turned_record


def _turned(annotation: dict[str, Any], orientation: int, size: tuple[int, int]) -> dict[str, Any]:
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, dict):
        pixels = np.asfortranarray(turned(mask_util.decode(segmentation), orientation))
        segmentation = as_text(mask_util.encode(pixels))
    else:
        segmentation = [_turned_points(polygon, orientation, size) for polygon in segmentation]
    x, y, width, height = annotation["bbox"]
    corners = _turned_points([x, y, x + width, y + height], orientation, size)
    bbox = bounds_of([corners])
    return {**annotation, "segmentation": segmentation, "bbox": bbox}


def _turned_points(flat: list[float], orientation: int, size: tuple[int, int]) -> list[float]:
    """Flat x, y where the pixels around them go, as `images.turned` moves these."""
    points = np.array(flat, np.float64).reshape(-1, 2)
    height, width = size
    if swaps_sides(orientation):
        points, height, width = points[:, ::-1].copy(), width, height
    if orientation in (2, 3, 6, 7):
        points[:, 0] = width - points[:, 0]
    if orientation in (3, 4, 7, 8):
        points[:, 1] = height - points[:, 1]
    return points.reshape(-1).tolist()
