"""What ``predict`` has found so far, and the files it leaves: a journal, COCO JSON and CSV.

The journal holds what was found so far, one line of JSON an image, so that a stopped run can go on. Each
process appends to a part of its own; the parts are joined into ``predictions.jsonl`` at the next start
and at the end. A line that a crash cut off counts as not written, and so do the frames of a video whose
last line is missing.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

JOURNAL = "predictions.jsonl"
_PARTS = "predictions.part-*.jsonl"

Row = dict[str, Any]

_COLUMNS = (
    "file_name", "frame", "category", "score", "xmin", "ymin", "width", "height", "mask_area",
)  # fmt: skip


def open_journal(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> set[str]:
    """Prepare the journal of a folder; by one process, before the others read it.

    Args:
        settings: plain values that decide what is found.
        overwrite: begin anew.

    Returns:
        names of the inputs that are done.

    Raises:
        ValueError: when there are results of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if overwrite:
        for path in _files(folder):
            path.unlink()
    for path in _files(folder):
        _check_settings(path, settings)
    join_parts(folder, settings)
    return done_names(folder)


def done_names(folder: Path) -> set[str]:
    """Names of the inputs that a joined journal holds."""
    return {row["file_name"] for row in rows(folder)}


def rows(folder: Path) -> Iterator[Row]:
    """What was found, image by image: `file_name`, `height`, `width`, `objects`, of videos `frame`."""
    return (row for _, row in _lines(folder / JOURNAL) if "objects" in row)


def join_parts(folder: Path, settings: Mapping[str, Any]) -> None:
    """Join the parts of all processes into one file, by name, written under another name first."""
    # where lines are, not what they say: the masks of a large run do not fit into memory
    predicted: list[tuple[str, int, Path, int]] = []
    finished: dict[str, int] = {}
    for path in _files(folder):
        for start, row in _lines(path):
            if "frames" in row:
                finished[row["file_name"]] = row["frames"]
            elif "objects" in row:
                predicted.append((row["file_name"], row.get("frame", -1), path, start))
    with written_atomically(folder / JOURNAL) as file:
        file.write(json.dumps({"settings": dict(settings)}) + "\n")
        for name, frame, path, start in sorted(predicted):
            # images, and frames of videos that were read to their end
            if frame < 0 or name in finished:
                file.write(_line_at(path, start))
        for name, frames in finished.items():
            file.write(json.dumps({"file_name": name, "frames": frames}) + "\n")
    for path in folder.glob(_PARTS):
        path.unlink()


class JournalPart:
    """The lines of one process."""

    def __init__(self, folder: Path, rank: int, settings: Mapping[str, Any]) -> None:
        self._file = (folder / _PARTS.replace("*", str(rank))).open("a", encoding="utf-8")
        self._write({"settings": dict(settings)})

    def add(self, name: str, size: tuple[int, int], objects: Sequence[Row], **more: Any) -> None:
        """Keep what was found in one image.

        Args:
            size: (height, width) in pixels.
            objects: as `predict` returns them with mask_format rle.
            more: for a frame, `frame`, its number from 0.
        """
        row = {"file_name": name, "height": size[0], "width": size[1], **more}
        self._write({**row, "objects": list(objects)})

    def finish_video(self, name: str, frames: int) -> None:
        """Note that all frames of a video are there."""
        self._write({"file_name": name, "frames": frames})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, row: Row) -> None:
        self._file.write(json.dumps(row) + "\n")
        # a process that is killed loses the line that it was writing, no other
        self._file.flush()


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Any]:
    """A text file that gets its name when it is complete."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        yield file
    # atomic within a file system: a reader sees the old file or the whole new one
    os.replace(unfinished, path)


def _files(folder: Path) -> list[Path]:
    joined = folder / JOURNAL
    return [joined] * joined.is_file() + sorted(folder.glob(_PARTS))


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    """(where it starts, what it says) of each line that is complete."""
    start = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield start, json.loads(line)
            start += len(line)


def _line_at(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.readline().decode("utf-8")


def _check_settings(path: Path, now: Mapping[str, Any]) -> None:
    _, first = next(_lines(path), (0, {"settings": dict(now)}))
    before = first.get("settings", {})
    changed = [
        f"{key} {before.get(key)!r}, now {value!r}"
        for key, value in now.items()
        if before.get(key) != value
    ]
    if changed:
        raise ValueError(
            f"--output {path.parent} holds predictions made with other settings "
            f"({'; '.join(changed)}); choose another folder, or begin anew with --overwrite"
        )


COCO, CSV = "predictions.json", "predictions.csv"


def write_coco(
    folder: Path, predictions: Iterable[Row], labels: Sequence[str], category_ids: Sequence[int]
) -> tuple[int, int]:
    """A COCO file: `images`, `categories`, and `annotations` with `score` and RLE masks.

    Args:
        predictions: rows of the journal.
        category_ids: the training data's ids of the labels.

    Returns:
        numbers of images and of objects.
    """
    images: list[dict[str, Any]] = []
    number = 0
    with written_atomically(folder / COCO) as file:
        # annotations are written as they come; images and categories, which are small, follow
        file.write('{"annotations": [')
        for row in predictions:
            images.append(_image(len(images) + 1, row))
            for detection in row["objects"]:
                number += 1
                file.write(",\n" if number > 1 else "\n")
                category = category_ids[detection["category_id"] - 1]
                file.write(json.dumps(_annotation(number, len(images), category, detection)))
        categories = [{"id": i, "name": name} for i, name in zip(category_ids, labels, strict=True)]
        file.write(f'\n],\n"images": {json.dumps(images)},\n')
        file.write(f'"categories": {json.dumps(categories, ensure_ascii=False)}}}\n')
    return len(images), number


def write_csv(folder: Path, predictions: Iterable[Row]) -> None:
    """A table of the objects, one a line; bbox in pixels."""
    with written_atomically(folder / CSV) as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for row in predictions:
            table.writerows(_table_rows(row))


def _image(number: int, row: Row) -> dict[str, Any]:
    image = {key: row[key] for key in ("file_name", "height", "width")}
    return {"id": number, **image, **({"frame": row["frame"]} if "frame" in row else {})}


def _annotation(number: int, image: int, category: int, detection: Row) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": detection["bbox"],
        "area": detection["mask_area"],
        "segmentation": detection["mask"],
        "iscrowd": 0,
        "score": detection["score"],
    }


def _table_rows(row: Row) -> Iterator[list[Any]]:
    for detection in row["objects"]:
        numbers = [f"{detection['score']:.6g}", *(f"{side:.2f}" for side in detection["bbox"])]
        yield [
            row["file_name"],
            row.get("frame", ""),
            detection["category"],
            *numbers,
            detection["mask_area"],
        ]
