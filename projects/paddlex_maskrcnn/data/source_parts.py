"""The parts of a folder of labelled pictures (train, val, test), and the arguments that open each.

Names of files and folders tell the parts. Where classes are those that occur, all parts are given those of
the whole folder, so that a rare class has its place in each.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .datasets.data_yaml import PARTS, DataYaml
from .datasets.easydata import EasyDataDet
from .datasets.file_names import FileFinder
from .datasets.files import part_named
from .datasets.labelme import class_names as labelme_class_names
from .datasets.problems import DatasetError
from .datasets.voc import VOCDetection
from .datasets.yolo_folder import scan
from .source_files import FORMATS, SourceFiles, names_in_cvat

_SAMPLE = 20  # pictures by which a file's folder is found
_MOST_NAMED = 3


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


def parts_of(kind: str, files: SourceFiles) -> list[SourcePart]:
    """The parts of a format, in the order train, none, val, test.

    Raises:
        DatasetError: if there is nothing to learn from.
    """
    order = ("train", "", "val", "test")
    return sorted(_OPENERS[kind](files), key=lambda part: order.index(part.role))


def _less_likely(path: Path) -> tuple[bool, int, Path]:
    """Order of COCO files of the same pictures: COCO's name for instances first, then the shorter name."""
    return "instances" not in path.name.lower(), len(path.name), path


def _coco(files: SourceFiles) -> list[SourcePart]:
    folders = sorted({path.parent for path in files.pictures})
    parts = []
    elsewhere: list[Path] = []
    used: dict[tuple[Path, str], Path] = {}  # pictures, and the json that names them
    # of several jsons of the same pictures one counts: they are forms of one set, or other tasks of COCO's
    for path in sorted(_with_masks(files), key=_less_likely):
        names = files.coco[path].names
        data_dir = _folder_of(names, path, folders, files)
        if data_dir is None:
            elsewhere.append(path)
            continue
        role = _role(path, files)
        first = next(
            (used[data_dir / n, role] for n in names if (data_dir / n, role) in used), None
        )
        if first is not None:
            files.notes.append(
                f"{files.name(path)} names the same pictures as {files.name(first)} and is not used"
            )
            continue
        used |= {(data_dir / name, role): path for name in names}
        arguments = {"data_dir": str(data_dir), "ann_file": str(path)}
        parts.append(SourcePart(role, "CocoDetection", arguments))
    if not parts:
        raise DatasetError(_without_pictures(files, elsewhere[0], files.coco[elsewhere[0]].names))
    files.notes += [
        f"{files.name(path)} is not used: its pictures ({_few(files.coco[path].names)}) are missing"
        for path in elsewhere
    ]
    return parts


def _with_masks(files: SourceFiles) -> list[Path]:
    """The COCO jsons that can be learned from; DatasetError without any."""
    paths = files.by_format["CocoDetection"]
    usable = [path for path in paths if files.coco[path].has_masks]
    if not usable:
        raise DatasetError(
            f"{files.listed(paths)}: no annotation has a segmentation, and Mask R-CNN learns from masks: "
            "export polygons or RLE from the labelling tool"
        )
    files.notes += [
        f"{files.name(path)} has no masks and is not used" for path in paths if path not in usable
    ]
    return usable


def _role(path: Path, files: SourceFiles) -> str:
    """The part that the name of a file, or of a folder that it is in, says."""
    return part_named(path.with_suffix(""), files.root)


def _folder_of(
    names: Sequence[str], path: Path, folders: Sequence[Path], files: SourceFiles
) -> Path | None:
    """The folder from which most of the named pictures are found; None where none is anywhere."""
    sample = names[:: max(1, len(names) // _SAMPLE)][:_SAMPLE]
    role = _role(path, files)
    near = [
        folder
        for base in (path.parent, path.parent.parent, files.root)
        if base == files.root or files.root in base.parents
        for folder in (base, base / "images")
    ]
    # of folders with the same names (0001.jpg in each) the one of the same part
    others = sorted(folders, key=lambda folder: part_named(folder, files.root) != role)
    above = [folder.parent for folder in others if folder != files.root]
    candidates = list(dict.fromkeys([*near, *others, *above]))
    counts = [
        sum(os.path.isfile(folder / name.replace("\\", "/")) for name in sample)
        for folder in candidates
    ]
    if not any(counts):
        # written otherwise: with other folders in front, a prefix of Label Studio, in another case
        finders = [FileFinder(folder) for folder in candidates]
        counts = [sum(finder.find(name) is not None for name in sample) for finder in finders]
    return candidates[counts.index(max(counts))] if any(counts) else None


def _without_pictures(files: SourceFiles, path: Path, names: Sequence[str]) -> str:
    """The message for labels of other images."""
    seen = (
        f"the pictures there ({len(files.pictures)}) are others: {files.listed(files.pictures)}"
        if files.pictures
        else "there are no pictures"
    )
    return (
        f"{files.name(path)} labels {len(names)} images ({_few(names)}), none of which is in "
        f"{str(files.root)!r} or a folder below: {seen}. Give the folder that holds the labels together with "
        "their pictures"
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def _yolo(files: SourceFiles) -> list[SourcePart]:
    parts = []
    for path in files.by_format["YoloSegmentation"]:
        source = DataYaml(path)
        named = [split for split in PARTS if source.lines.get(split)]
        present = [split for split in named if source.has_pictures(split)] or named
        files.notes += [
            f"{files.name(path)}: {split} is not used, its pictures are missing"
            for split in named
            if split not in present
        ]
        for split in present:
            arguments = {"data_yaml": str(path), "split": split}
            parts.append(SourcePart(split, "YoloSegmentation", arguments))
    if parts:
        return parts
    scanned = scan(files.root)
    files.notes += [title for title, _ in scanned.repaired]
    folder = {"data_yaml": str(files.root)}
    if list(scanned.parts) == ["train"]:  # as all pictures are called where no folder says the part
        is_named = any(part_named(path.parent, files.root) for path in scanned.parts["train"])
        return [SourcePart("train" if is_named else "", "YoloSegmentation", folder)]
    return [
        SourcePart(part, "YoloSegmentation", {**folder, "split": part}) for part in scanned.parts
    ]


def _cvat(files: SourceFiles) -> list[SourcePart]:
    folders = sorted({path.parent for path in files.pictures})
    parts = []
    for path in files.by_format["CvatDetection"]:
        data_dir = _folder_of(names_in_cvat(path), path, folders, files) or path.parent
        arguments = {"data_dir": str(data_dir), "ann_file": str(path)}
        parts.append(SourcePart(_role(path, files), "CvatDetection", arguments))
    return parts


def _label_studio(files: SourceFiles) -> list[SourcePart]:
    """Its reader looks for the pictures in all folders."""
    return [
        SourcePart(
            _role(path, files),
            "LabelStudioDetection",
            {"data_dir": str(files.root), "ann_file": str(path)},
        )
        for path in files.by_format["LabelStudioDetection"]
    ]


def _labelme(files: SourceFiles) -> list[SourcePart]:
    paths = files.by_format["LabelMeDetection"]
    parts = _of_folders("LabelMeDetection", files, lambda: labelme_class_names(paths))
    folders = {path.parent for path in files.pictures}
    if len(parts) == len(folders) == 1 and not folders & {path.parent for path in paths}:
        # imagePath may be the name alone of a picture that lies in the folder for pictures
        more = {"image_dir": str(next(iter(folders)))}
        parts = [replace(part, arguments={**part.arguments, **more}) for part in parts]
    return parts


def _listed(kind: str, files: SourceFiles) -> list[SourcePart]:
    """VOC and EasyData: by their lists, or by the folders of the annotation files."""
    paths = files.by_format[kind]
    reader = VOCDetection if kind == "VOCDetection" else EasyDataDet
    lists = {folder: _lists(folder) for folder in _up_to_root(paths, files.root)}
    parts = [
        SourcePart(role, kind, {"data_dir": str(folder), "file_list": str(path)})
        for folder, by_role in lists.items()
        for role, path in by_role.items()
    ]
    if not parts:
        return _of_folders(kind, files, lambda: reader.class_names(paths))
    unlisted = [path for path in paths if not any(lists.get(each) for each in path.parents)]
    if unlisted:
        files.notes.append(
            f"{len(unlisted)} annotation files ({files.listed(unlisted)}) are not used: they are in no "
            "folder with a list of images, as others are"
        )
    return _with_labels(parts, lambda: reader.class_names(paths))


def _up_to_root(paths: Sequence[Path], root: Path) -> list[Path]:
    """The folders that hold files, and those that these are in, from the root on."""
    folders = {
        each for folder in {path.parent for path in paths} for each in (folder, *folder.parents)
    }
    return sorted(each for each in folders if each == root or root in each.parents)


def _lists(data_dir: Path) -> dict[str, Path]:
    """Part -> its list: train_list.txt and the like, or ImageSets/Segmentation/train.txt."""
    candidates: Iterable[Path] = [
        *sorted(data_dir.glob("*list*.txt")),
        *sorted(data_dir.glob("ImageSets/Segmentation/*.txt")),
        *sorted(data_dir.glob("ImageSets/Main/*.txt")),
    ]
    lists: dict[str, Path] = {}
    for path in candidates:
        if role := part_named(path.with_suffix(""), data_dir):
            lists.setdefault(role, path)
    return lists


def _of_folders(
    kind: str, files: SourceFiles, class_names: Callable[[], set[str]]
) -> list[SourcePart]:
    """A part for each of train, val and test where folders have these names; else one of all files."""
    by_role: dict[str, list[Path]] = defaultdict(list)
    for path in files.by_format[kind]:
        by_role[part_named(path.parent, files.root)].append(path)
    folders = {
        role: Path(os.path.commonpath([path.parent for path in paths]))
        for role, paths in by_role.items()
    }
    if "" in folders or not _are_apart(list(folders.values()), files):
        if len(folders) > 1:
            files.notes.append(
                f"the folders {', '.join(filter(None, folders))} are read as one: each part needs a "
                "folder of its own that holds all its pictures and annotation files"
            )
        folders = {"": files.root}
    parts = [SourcePart(role, kind, {"data_dir": str(path)}) for role, path in folders.items()]
    return _with_labels(parts, class_names, files.root)


def _are_apart(folders: list[Path], files: SourceFiles) -> bool:
    """Whether no folder is in another, and each has pictures, if any has: jsons may hold them."""
    for folder in folders:
        if any(folder in other.parents for other in folders) or folders.count(folder) > 1:
            return False
    owners = {parent for path in files.pictures for parent in path.parents}
    return not files.pictures or all(folder in owners for folder in folders)


def _with_labels(
    parts: list[SourcePart], class_names: Callable[[], set[str]], root: Path | None = None
) -> list[SourcePart]:
    """The parts with the file of class names beside them; several parts without one get the same names."""
    same = sorted(class_names()) if len(parts) > 1 else None
    result = []
    for part in parts:
        folders = [Path(part.arguments["data_dir"]), *([root] if root else [])]
        files = [folder / "labels.txt" for folder in folders if (folder / "labels.txt").is_file()]
        labels: Any = str(files[0]) if files else same
        more = {"label_list": labels} if labels else {}
        result.append(replace(part, arguments={**part.arguments, **more}))
    return result


_OPENERS: dict[str, Callable[[SourceFiles], list[SourcePart]]] = {
    "CocoDetection": _coco,
    "YoloSegmentation": _yolo,
    "VOCDetection": lambda files: _listed("VOCDetection", files),
    "EasyDataDet": lambda files: _listed("EasyDataDet", files),
    "LabelMeDetection": _labelme,
    "CvatDetection": _cvat,
    "LabelStudioDetection": _label_studio,
}
assert _OPENERS.keys() == FORMATS.keys()
