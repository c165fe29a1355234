"""The files that ``predict`` leaves: COCO JSON and CSV, written row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .predict_journal import Row, written_atomically

COCO, CSV = "predictions.json", "predictions.csv"
_COLUMNS = (
    "file_name", "frame", "category", "score", "xmin", "ymin", "width", "height", "mask_area",
)  # fmt: skip


def write_coco(
    folder: Path, found: Iterable[Row], labels: Sequence[str], category_ids: Sequence[int]
) -> tuple[int, int]:
    """A COCO file: `images`, `categories`, and `annotations` with `score` and RLE masks.

    Args:
        found: rows of the journal.
        category_ids: the training data's ids of the labels.

    Returns:
        numbers of images and of objects.
    """
    images: list[dict[str, Any]] = []
    number = 0
    with written_atomically(folder / COCO) as file:
        file.write('{"annotations": [')
        for row in found:
            images.append(_image(len(images) + 1, row))
            for one in row["objects"]:
                number += 1
                file.write(",\n" if number > 1 else "\n")
                category = category_ids[one["category_id"] - 1]
                file.write(json.dumps(_annotation(number, len(images), category, one)))
        categories = [{"id": i, "name": name} for i, name in zip(category_ids, labels, strict=True)]
        file.write(f'\n],\n"images": {json.dumps(images)},\n')
        file.write(f'"categories": {json.dumps(categories, ensure_ascii=False)}}}\n')
    return len(images), number


def write_csv(folder: Path, found: Iterable[Row]) -> None:
    """A table of the objects, one a line; bbox in pixels."""
    with written_atomically(folder / CSV) as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for row in found:
            table.writerows(_table_rows(row))


def _image(number: int, row: Row) -> dict[str, Any]:
    image = {key: row[key] for key in ("file_name", "height", "width")}
    return {"id": number, **image, **({"frame": row["frame"]} if "frame" in row else {})}


def _annotation(number: int, image: int, category: int, one: Row) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": one["bbox"],
        "area": one["mask_area"],
        "segmentation": one["mask"],
        "iscrowd": 0,
        "score": one["score"],
    }


def _table_rows(row: Row) -> Iterator[list[Any]]:
    for one in row["objects"]:
        numbers = [f"{one['score']:.6g}", *(f"{side:.2f}" for side in one["bbox"])]
        yield [row["file_name"], row.get("frame", ""), one["category"], *numbers, one["mask_area"]]
