"""What a folder of labelled pictures is: its format, its parts, and the data sets that read them.

A format is told by what its files hold, not by their names; names tell the parts (train, val, test). Where
two formats are there, or none, an error says what was seen: nothing is guessed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config.check import suggestion
from ..config.dataset_params import DATASETS, JOINED, DatasetChoice
from .datasets.files import UnusableFileError, files_below, is_picture, read_json, read_text
from .datasets.problems import DatasetError
from .datasets.yolo import DataYaml

_ROLES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_ROLE = re.compile("|".join(sorted(_ROLES, key=len, reverse=True)))
_FILES_OF_A_FOLDER = 5  # json or xml files of a folder that are looked into
_SAMPLE = 20  # pictures by which a COCO file's folder is found


@dataclass(frozen=True)
class SourcePart:
    """A part of a source, and how it is opened.

    Attributes:
        role: train, val or test as the source names it; empty where it does not.
        type: of the data set, a key of DATASETS.
        arguments: that it takes.
    """

    role: str
    type: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A folder that was recognised.

    Attributes:
        format: in words, such as "LabelMe".
        parts: one or more, in the order train, none, val, test.
        reason: what was seen that tells the format.
        notes: what is not used, and why.
    """

    format: str
    parts: list[SourcePart]
    reason: str
    notes: list[str]

    def lines(self, name: object) -> list[str]:
        """What is said of a folder of this name that was recognised."""
        return [f"{name} is {self.format}: {self.reason}", *self.notes]

    def choices(self) -> dict[str, DatasetChoice]:
        """Role -> the data set of the part; several parts of a role are joined."""
        by_role: dict[str, list[SourcePart]] = defaultdict(list)
        for part in self.parts:
            by_role[part.role].append(part)
        return {role: _choice(parts) for role, parts in by_role.items()}


@dataclass
class _Files:
    """The files of a folder by what they hold.

    Attributes:
        by_format: format -> its annotation files (of large folders only some have been looked into).
        pictures: all pictures.
        others: json and xml files of no known format.
    """

    root: Path
    by_format: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def recognize(folder: Path, kind: str | None = None) -> Source:
    """The format and parts of a folder.

    Args:
        kind: the data set's type, a key of DATASETS, where the folder holds more than one format.

    Raises:
        DatasetError: if there is no such folder, or none or several formats are in it.
        ValueError: if `kind` is not the type of a format that is known here.
    """
    if not folder.is_dir():
        raise DatasetError(f"{str(folder)!r} is not a folder")
    if kind is not None and kind not in _OPENERS:
        raise ValueError(
            f"type is {kind!r}; choose one of {', '.join(_OPENERS)}{suggestion(kind, _OPENERS)}"
        )
    files = _sorted(folder.absolute())
    formats = [name for name in _OPENERS if files.by_format[name]]
    if kind is not None:
        formats = [name for name in formats if name == kind]
    if not formats:
        raise DatasetError(_nothing(folder, files, kind))
    if len(formats) > 1:
        listed = "; ".join(f"{name}: {_listed(files, files.by_format[name])}" for name in formats)
        raise DatasetError(
            f"{str(folder)!r} holds annotations of {len(formats)} formats ({listed}): name a folder "
            "of one of them, or say with --type which it is"
        )
    (name,) = formats
    parts = _OPENERS[name](files)
    order = ("train", "", "val", "test")
    parts = sorted(parts, key=lambda part: order.index(part.role))
    return Source(_WORDS[name], parts, _listed(files, files.by_format[name]), files.notes)


def _choice(parts: Sequence[SourcePart]) -> DatasetChoice:
    choices = [
        DatasetChoice(type=part.type, arguments=DATASETS[part.type](**part.arguments))
        for part in parts
    ]
    if len(choices) == 1:
        return choices[0]
    return DatasetChoice(type=JOINED, arguments=DATASETS[JOINED](parts=choices))


def _nothing(folder: Path, files: _Files, kind: str | None) -> str:
    if kind is not None:
        return f"{str(folder)!r} has no annotations of {kind}"
    if files.others:
        seen = f"no json or xml file of it has a known format ({_listed(files, files.others)})"
    elif files.pictures:
        seen = f"it has {len(files.pictures)} pictures, but no annotations"
    else:
        seen = "it has neither pictures nor annotations"
    return f"{str(folder)!r}: {seen}; known are {', '.join(_WORDS.values())}"


def _listed(files: _Files, paths: Sequence[Path]) -> str:
    names = [_name(files, path) for path in paths[:3]]
    return ", ".join(names) + (", ..." if len(paths) > 3 else "")


def _name(files: _Files, path: Path) -> str:
    return path.relative_to(files.root).as_posix()


def _sorted(root: Path) -> _Files:
    """The files of a folder; of many in one folder the first few decide for all."""
    files = _Files(root)
    candidates: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files_below(root):
        suffix = path.suffix.lower()
        if is_picture(path.name):
            files.pictures.append(path)
        elif suffix in _SNIFFERS:
            candidates[path.parent, suffix].append(path)
    for (_, suffix), paths in candidates.items():
        kinds = [_SNIFFERS[suffix](path) for path in _some(paths)]
        usual = Counter(kinds).most_common(1)[0][0]
        if len(paths) > len(kinds) and usual in _FILE_EACH:
            kinds = [usual] * len(paths)
        elif len(paths) > len(kinds):
            kinds = [_SNIFFERS[suffix](path) for path in paths]
        for path, kind in zip(paths, kinds, strict=True):
            (files.by_format[kind] if kind else files.others).append(path)
    return files


def _some(paths: Sequence[Path]) -> Sequence[Path]:
    """Some of many, at equal distances."""
    if len(paths) <= 4 * _FILES_OF_A_FOLDER:
        return paths
    return paths[:: len(paths) // _FILES_OF_A_FOLDER]


def _of_json(path: Path) -> str:
    try:
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
        return "CocoDetection"
    if isinstance(content.get("shapes"), list):
        return "LabelMeDetection"
    labels = content.get("labels")
    is_easy = isinstance(labels, list) and all(
        isinstance(entry, dict) and {"name", "x1"} <= entry.keys() for entry in labels
    )
    return "EasyDataDet" if is_easy else ""


def _of_xml(path: Path) -> str:
    try:
        with path.open("rb") as file:
            for _, node in ET.iterparse(file, events=("start",)):
                return {"annotations": "CvatDetection", "annotation": "VOCDetection"}.get(
                    node.tag, ""
                )
    except (ET.ParseError, OSError, ValueError, LookupError):
        pass
    return ""


def _of_yaml(path: Path) -> str:
    try:
        keys = set(re.findall(r"^(\w+)\s*:", read_text(path), re.MULTILINE))
    except UnusableFileError:
        return ""
    return "YoloSegmentation" if "names" in keys and keys & {"train", "val", "test"} else ""


_SNIFFERS = {".json": _of_json, ".xml": _of_xml, ".yaml": _of_yaml, ".yml": _of_yaml}
_FILE_EACH = ("LabelMeDetection", "EasyDataDet", "VOCDetection")  # an annotation file each picture


def _role(path: Path, root: Path) -> str:
    """What the name of a file, or of the folders that it is in, says; the nearest word counts."""
    for name in reversed(path.relative_to(root).with_suffix("").parts):
        words = _ROLE.findall(name.lower())
        if words:
            return _ROLES[words[-1]]
    return ""


def _coco(files: _Files) -> list[SourcePart]:
    folders = sorted({path.parent for path in files.pictures})
    parts = []
    used: dict[tuple[Path, str], Path] = {}  # pictures, and the json that names them
    # of two jsons of the same pictures the one with the shorter name: the other is another form of it
    for path in sorted(files.by_format["CocoDetection"], key=lambda path: (len(path.name), path)):
        content = read_json(path)
        if not _has_masks(content):
            files.notes.append(f"{_name(files, path)} has no masks and is not used")
            continue
        entries = [entry for entry in content["images"] if isinstance(entry, dict)]
        names = [str(entry["file_name"]) for entry in entries if "file_name" in entry]
        data_dir = _folder_of(names, path, folders, files)
        role = _role(path, files.root)
        first = next(
            (used[data_dir / n, role] for n in names if (data_dir / n, role) in used), None
        )
        if first is not None:
            files.notes.append(
                f"{_name(files, path)} names the same pictures as {_name(files, first)} and is not used"
            )
            continue
        used |= {(data_dir / name, role): path for name in names}
        arguments = {"data_dir": str(data_dir), "ann_file": str(path)}
        parts.append(SourcePart(role, "CocoDetection", arguments))
    if not parts:
        listed = _listed(files, files.by_format["CocoDetection"])
        raise DatasetError(
            f"{listed}: no annotation has a segmentation, and Mask R-CNN learns from masks: export "
            "polygons or RLE from the labelling tool"
        )
    return parts


def _has_masks(content: Mapping[str, Any]) -> bool:
    entries = content["annotations"]
    return not entries or any(
        isinstance(entry, dict) and entry.get("segmentation") for entry in entries
    )


def _folder_of(names: Sequence[str], path: Path, folders: Sequence[Path], files: _Files) -> Path:
    """The folder in which most of the named pictures are; the json's own where none is anywhere."""
    sample = names[:: max(1, len(names) // _SAMPLE)][:_SAMPLE]
    role = _role(path, files.root)
    candidates = dict.fromkeys(
        folder
        for base in (path.parent, path.parent.parent, files.root)
        if base == files.root or files.root in base.parents
        for folder in (base, base / "images")
    )
    # of folders with the same names (0001.jpg in each) the one of the same part
    others = sorted(folders, key=lambda folder: _role(folder / "x", files.root) != role)
    best, most = path.parent, 0
    for folder in [*candidates, *others]:
        there = sum((folder / name).is_file() for name in sample)
        if there > most:
            best, most = folder, there
    return best


def _yolo(files: _Files) -> list[SourcePart]:
    parts = []
    for path in files.by_format["YoloSegmentation"]:
        content = DataYaml(path).lines
        for split in ("train", "val", "test"):
            if content.get(split):
                arguments = {"data_yaml": str(path), "split": split}
                parts.append(SourcePart(split, "YoloSegmentation", arguments))
    return parts


def _exports(kind: str, files: _Files, folder_of: Callable[[Path], Path]) -> list[SourcePart]:
    """A part for each file of a labelling tool; `folder_of` one is where its pictures are."""
    return [
        SourcePart(
            _role(path, files.root), kind, {"data_dir": str(folder_of(path)), "ann_file": str(path)}
        )
        for path in files.by_format[kind]
    ]


def _labelme(files: _Files) -> list[SourcePart]:
    """One part, or one a folder right in the root where these are named train, val, test."""
    tops = {path.relative_to(files.root).parts[0] for path in files.by_format["LabelMeDetection"]}
    roles = {top: _ROLES.get(top.lower(), "") for top in tops}
    folders = {files.root / top: role for top, role in roles.items()} if all(roles.values()) else {}
    labels = files.root / "labels.txt"
    arguments = {"label_list": str(labels)} if labels.is_file() else {}
    return [
        SourcePart(role, "LabelMeDetection", {"data_dir": str(folder), **arguments})
        for folder, role in (folders or {files.root: ""}).items()
    ]


def _listed_format(kind: str, files: _Files) -> list[SourcePart]:
    """VOC and EasyData: the lists beside the annotation files' folder, or ImageSets."""
    first = files.by_format[kind][0]
    data_dir = first.parent.parent if first.parent != files.root else files.root
    lists = _lists(data_dir)
    labels = data_dir / "labels.txt"
    if not lists or not labels.is_file():
        missing = "a list of images" if not lists else "labels.txt"
        raise DatasetError(
            f"{str(data_dir)!r} holds {_WORDS[kind]} annotations, but {missing} is missing there: "
            "docs/data.md shows what it holds"
        )
    common = {"data_dir": str(data_dir), "label_list": str(labels)}
    return [
        SourcePart(role, kind, {**common, "file_list": str(path)}) for role, path in lists.items()
    ]


def _lists(data_dir: Path) -> dict[str, Path]:
    """Part -> its list: train_list.txt and the like, or ImageSets/Segmentation/train.txt."""
    places: Iterable[Path] = [
        *sorted(data_dir.glob("*list*.txt")),
        *sorted(data_dir.glob("ImageSets/Segmentation/*.txt")),
        *sorted(data_dir.glob("ImageSets/Main/*.txt")),
    ]
    lists: dict[str, Path] = {}
    for path in places:
        if (role := _role(path, data_dir)) and path.stem != "trainval":
            lists.setdefault(role, path)
    return lists


_OPENERS = {
    "CocoDetection": _coco,
    "YoloSegmentation": _yolo,
    "VOCDetection": lambda files: _listed_format("VOCDetection", files),
    "EasyDataDet": lambda files: _listed_format("EasyDataDet", files),
    "LabelMeDetection": _labelme,
    "CvatDetection": lambda files: _exports("CvatDetection", files, lambda path: path.parent),
    # its reader looks through all folders
    "LabelStudioDetection": lambda files: _exports(
        "LabelStudioDetection", files, lambda path: files.root
    ),
}
_WORDS = {
    "CocoDetection": "COCO",
    "YoloSegmentation": "YOLO",
    "VOCDetection": "Pascal VOC",
    "EasyDataDet": "EasyData",
    "LabelMeDetection": "LabelMe",
    "CvatDetection": "CVAT",
    "LabelStudioDetection": "Label Studio",
}
