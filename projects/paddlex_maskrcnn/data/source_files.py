"""The files of a folder of labelled pictures, sorted by what they hold, not by their names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ..garbage_collection import collection_paused
from .archive import is_archive
from .datasets.data_yaml import PARTS
from .datasets.files import UnusableFileError, files_below, is_picture, read_json, read_text
from .datasets.yolo_folder import has_labels, is_label_name

FORMATS = {
    "CocoDetection": "COCO",
    "YoloSegmentation": "YOLO",
    "VOCDetection": "Pascal VOC",
    "EasyDataDet": "EasyData",
    "LabelMeDetection": "LabelMe",
    "CvatDetection": "CVAT",
    "LabelStudioDetection": "Label Studio",
}

_FILES_OF_A_FOLDER = 5  # of many files of a suffix in a folder so many are looked into
_SAMPLE = 20  # entries of a file that are looked at
_FILE_EACH = ("LabelMeDetection", "EasyDataDet", "VOCDetection")  # an annotation file each picture


@dataclass(frozen=True)
class CocoSummary:
    """What is needed of a COCO json to find its pictures.

    Attributes:
        names: of its pictures.
        has_masks: whether its annotations have any, or there are none.
    """

    names: list[str]
    has_masks: bool


@dataclass
class SourceFiles:
    """The files of a folder by what they hold.

    Attributes:
        root: the folder, absolute.
        by_format: type of data set -> its annotation files (of many in a folder some were looked into).
        labels: txt files of a YOLO set; a data.yaml is in by_format.
        coco: COCO json -> its summary.
        pictures: all pictures.
        others: json and xml files of no known format.
        archives: that nobody has unpacked.
        notes: what is not used, and why.
    """

    root: Path
    by_format: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    labels: list[Path] = field(default_factory=list)
    coco: dict[Path, CocoSummary] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """A path as messages have it."""
        return path.relative_to(self.root).as_posix()

    def listed(self, paths: Sequence[Path]) -> str:
        """The first few of them."""
        return ", ".join(map(self.name, paths[:3])) + (", ..." if len(paths) > 3 else "")

    def evidence(self, kind: str) -> list[Path]:
        """The files that tell a format."""
        paths = self.by_format.get(kind, [])
        return paths or (self.labels if kind == "YoloSegmentation" else [])

    @property
    def formats(self) -> list[str]:
        """The types of data sets that are there."""
        return [kind for kind in FORMATS if self.evidence(kind)]


def sort_files(root: Path, only: Path | None = None) -> SourceFiles:
    """The files of a folder; of many in one folder the first few decide for all.

    Args:
        only: the one annotation file that counts.
    """
    files = SourceFiles(root)
    candidates: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files_below(root):
        suffix = path.suffix.lower()
        if is_picture(path.name):
            files.pictures.append(path)
        elif is_archive(path):
            files.archives.append(path)
        elif suffix in _SNIFFERS and only in (None, path):
            candidates[path.parent, suffix].append(path)
        elif only is None and is_label_name(path.name):
            candidates[path.parent, ".txt"].append(path)
    for (_, suffix), paths in candidates.items():
        if suffix == ".txt":
            files.labels += paths if any(map(has_labels, _some(paths, _SAMPLE))) else []
            continue
        kinds = _kinds(paths, suffix, files)
        for path, kind in zip(paths, kinds, strict=True):
            (files.by_format[kind] if kind else files.others).append(path)
    return files


def _kinds(paths: Sequence[Path], suffix: str, files: SourceFiles) -> list[str]:
    sample = _some(paths, _FILES_OF_A_FOLDER)
    kinds = [_SNIFFERS[suffix](path, files) for path in sample]
    usual = Counter(kinds).most_common(1)[0][0]
    if len(paths) > len(kinds) and usual in _FILE_EACH:
        return [usual] * len(paths)
    if len(paths) > len(kinds):
        return [_SNIFFERS[suffix](path, files) for path in paths]
    return kinds


def _some(paths: Sequence[Path], count: int) -> Sequence[Path]:
    """Some of many, at equal distances."""
    return paths if len(paths) <= 4 * count else paths[:: len(paths) // count]


def _of_json(path: Path, files: SourceFiles) -> str:
    try:
        with collection_paused():
            content = read_json(path)
    except UnusableFileError:
        return ""
    if isinstance(content, list):
        tasks = [entry for entry in content[:_SAMPLE] if isinstance(entry, dict)]
        keys = [entry.keys() for entry in tasks]
        marks = {"annotations", "completions", "predictions", "annotation_id", "lead_time"}
        return "LabelStudioDetection" if keys and all(marks & key for key in keys) else ""
    if not isinstance(content, dict):
        return ""
    if all(isinstance(content.get(key), list) for key in ("images", "annotations", "categories")):
        files.coco[path] = _summary(content)
        return "CocoDetection"
    if isinstance(content.get("shapes"), list):
        return "LabelMeDetection"
    labels = content.get("labels")
    is_easy = isinstance(labels, list) and all(
        isinstance(entry, dict) and {"name", "x1"} <= entry.keys() for entry in labels
    )
    return "EasyDataDet" if is_easy else ""


def _summary(content: dict[str, Any]) -> CocoSummary:
    names = [
        entry["file_name"]
        for entry in content["images"]
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str)
    ]
    has_masks = not content["annotations"] or any(
        isinstance(entry, dict) and entry.get("segmentation") for entry in content["annotations"]
    )
    return CocoSummary(names, has_masks)


def _of_xml(path: Path, files: SourceFiles) -> str:
    kinds = {"annotations": "CvatDetection", "annotation": "VOCDetection"}
    return next((kinds.get(node.tag, "") for node in _nodes(path)), "")


def _nodes(path: Path) -> list[ET.Element]:
    """The first element of an xml; none if it is no xml."""
    try:
        with path.open("rb") as file:
            return [node for _, node in islice(ET.iterparse(file, events=("start",)), 1)]
    except (ET.ParseError, OSError, ValueError, LookupError):
        return []


def names_in_cvat(path: Path) -> list[str]:
    """The first pictures that an xml of CVAT names."""
    names: list[str] = []
    try:
        with path.open("rb") as file:
            for _, node in ET.iterparse(file, events=("start",)):
                if node.tag == "image":
                    names.append(node.get("name", "").replace("\\", "/"))
                if len(names) == _SAMPLE:
                    break
    except (ET.ParseError, OSError, ValueError, LookupError):
        pass  # the reader says what is wrong
    return names


def _of_yaml(path: Path, files: SourceFiles) -> str:
    try:
        keys = set(re.findall(r"^(\w+)\s*:", read_text(path), re.MULTILINE))
    except UnusableFileError:
        return ""
    return "YoloSegmentation" if "names" in keys and keys & set(PARTS) else ""


_SNIFFERS = {".json": _of_json, ".xml": _of_xml, ".yaml": _of_yaml, ".yml": _of_yaml}
