"""The tasks of a JSON export of Label Studio: pictures, and the regions of the annotation that counts.

JSON has tasks with `data` and `annotations` (once `completions`), each of results; JSON-MIN has the values of
results as lists in the task itself. A shape and its label are one result (`polygonlabels`), or two of one id
where the labelling configuration has them as separate tags.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .files import UnusableFileError, is_picture, read_json
from .problems import DatasetError, Kind, Problems

NO_PICTURE = Kind(
    "task without a picture",
    "the task's data must name an image; take other tasks out of the export",
)
UNANNOTATED = "task that nobody has annotated, left out"
NEWEST_USED = "task with several annotations, the newest is used"

GEOMETRIES = ("polygon", "rectangle", "ellipse", "brush", "bitmask")
WITHOUT_AREA = ("keypoint", "vector")


@dataclass(frozen=True)
class Region:
    """What was drawn once.

    Attributes:
        number: in the task, from 1.
        kind: polygon, rectangle, ...
        labels: that it was given.
        value: its numbers.
        result: the whole entry, with the sizes.
    """

    number: int
    kind: str
    labels: list[str]
    value: dict[str, Any]
    result: dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A picture of the export.

    Attributes:
        where: names it in messages.
        address: of its picture, as the export has it.
        regions: of the annotation that counts.
    """

    where: str
    address: str
    regions: list[Region]


def read_tasks(path: Path, problems: Problems) -> list[Task]:
    """The tasks that somebody has annotated; DatasetError if it is no export of Label Studio."""
    try:
        content = read_json(path)
    except UnusableFileError as error:
        raise DatasetError(f"ann_file {str(path)!r}: {error}") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise DatasetError(
            f"{path} is not a JSON export of Label Studio: a list of tasks is needed"
        )
    tasks = []
    for number, entry in enumerate(content, 1):
        where = f"task {entry.get('id', number)}"
        address = _address(entry)
        results = _results(entry, where, problems)
        if not address:
            problems.add(NO_PICTURE, where)
        elif results is None:
            problems.repair(UNANNOTATED, where)
        else:
            tasks.append(Task(f"{where} ({address!r:.100})", address, _regions(results)))
    if not tasks:
        problems.finish(skip_invalid=False)
        raise DatasetError(f"{path}: none of its {len(content)} tasks is annotated")
    return tasks


def _address(entry: dict[str, Any]) -> str:
    """What names the task's picture; in JSON-MIN the data are keys of the task."""
    data = entry.get("data")
    values = (data if isinstance(data, dict) else entry).values()
    texts = [value for value in values if isinstance(value, str)]
    pictures = [text for text in texts if is_picture(path_in(text))]
    uploaded = entry.get("file_upload")
    return next(iter(pictures), uploaded if isinstance(uploaded, str) else "")


def _results(entry: dict[str, Any], where: str, problems: Problems) -> list[dict[str, Any]] | None:
    """The results of the annotation that counts; None when there is none."""
    annotations = entry.get("annotations", entry.get("completions"))
    if annotations is None and "data" not in entry:
        return _flat_results(entry)
    usable = [
        annotation
        for annotation in (annotations if isinstance(annotations, list) else [])
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    if not usable:
        return None
    if len(usable) > 1:
        problems.repair(NEWEST_USED, where)
    newest = max(usable, key=lambda annotation: str(annotation.get("updated_at", "")))
    results = newest.get("result")
    entries = results if isinstance(results, list) else []
    return [result for result in entries if isinstance(result, dict)]


def _flat_results(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """JSON-MIN: a list of values for each tag, the kind of a region in the name of its labels."""
    regions = [
        region
        for values in entry.values()
        if isinstance(values, list)
        for region in values
        if isinstance(region, dict) and "original_width" in region
    ]
    return [{**region, "type": _kind_of(region), "value": region} for region in regions]


def _kind_of(value: dict[str, Any]) -> str:
    named = [key for key in value if key.endswith("labels") and key != "labels"]
    if named:
        return named[0]
    marks = {
        "points": "polygon",
        "radiusX": "ellipse",
        "rle": "brush",
        "imageDataURL": "bitmask",
    }
    return next((kind for key, kind in marks.items() if key in value), "rectangle")


def _regions(results: Sequence[dict[str, Any]]) -> list[Region]:
    """Results of one id together: a shape and its label may be two."""
    by_id: dict[object, list[dict[str, Any]]] = defaultdict(list)
    for number, result in enumerate(results):
        name = result.get("id")
        by_id[name if isinstance(name, str) and "id" in result else number].append(result)
    regions: list[Region] = []
    for group in by_id.values():
        shapes = [
            result for result in group if _shape(result) and isinstance(result.get("value"), dict)
        ]
        if shapes:
            labels = [label for result in group for label in _labels_in(result)]
            first = shapes[0]
            number = len(regions) + 1
            regions.append(
                Region(number, _shape(first), list(dict.fromkeys(labels)), first["value"], first)
            )
    return regions


def _shape(result: dict[str, Any]) -> str:
    """polygon of polygonlabels; empty for what draws nothing, such as choices and texts."""
    kind = str(result.get("type", "")).removesuffix("labels")
    return kind if kind in GEOMETRIES or kind in WITHOUT_AREA else ""


def _labels_in(result: dict[str, Any]) -> list[str]:
    value = result.get("value")
    kind = str(result.get("type", ""))
    labels = value.get(kind) if isinstance(value, dict) and kind.endswith("labels") else None
    return [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []


def path_in(address: str) -> str:
    """The path of an address: after `?d=` of local files, without server and query otherwise."""
    try:
        pieces = urlsplit(address.replace("\\", "/"))
    except ValueError:
        return ""
    local = parse_qs(pieces.query).get("d")
    path = local[0] if local else unquote(pieces.path)
    return path.replace("\0", "")
