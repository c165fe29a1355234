"""Several parts of one set in one folder: what is there stays, and every part finds its files.

A part that a folder does not have yet is added to it, without --force, since nothing is replaced: YOLO
has folders for each part and one `data.yaml` with a line for each; the lists of Pascal VOC and EasyData
share folders, so that a picture whose name is taken gets another. All parts have the same classes in the
same order, since there is one file that names them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..datasets.data_yaml import DataYaml
from ..datasets.files import read_labels, read_lines
from ..datasets.problems import DatasetError

DATA_YAML, LABELS = "data.yaml", "labels.txt"
_ORDER = ("path", "train", "val", "test")  # of the lines of a data.yaml, names last


@dataclass(frozen=True)
class OtherParts:
    """What a folder has of a set already.

    Attributes:
        parts: names of the parts that are not going to be written.
        taken: stems of the pictures that these share folders with, in lower case.
        lines: of the data.yaml.
        is_new: whether the part to be written is not there yet, so that nothing is replaced.
    """

    parts: tuple[str, ...] = ()
    taken: frozenset[str] = frozenset()
    lines: dict[str, Any] = field(default_factory=dict)
    is_new: bool = False


def other_parts(form: str, folder: Path, split: str, labels: Sequence[str]) -> OtherParts:
    """The other parts of the set in a folder.

    Args:
        form: of the set.
        split: the part that is going to be written.
        labels: its classes.

    Raises:
        DatasetError: if there are other parts, of other classes.
    """
    if form == "yolo" and (folder / DATA_YAML).is_file():
        return _of_yaml(folder, split, labels)
    if form in ("voc", "easydata") and folder.is_dir():
        return _of_lists(folder, split, labels)
    return OtherParts()


def write_data_yaml(path: Path, split: str, labels: Sequence[str], others: OtherParts) -> None:
    """Write a data.yaml with the line of a part and those of the others."""
    content = {**others.lines, split: f"images/{split}"}
    content.pop("names", None)
    ordered = {key: content.pop(key) for key in _ORDER if key in content}
    text = yaml.safe_dump(
        {**ordered, **content, "names": dict(enumerate(labels))},
        sort_keys=False,
        allow_unicode=True,
    )
    path.write_text(text, encoding="utf-8")


def _of_yaml(folder: Path, split: str, labels: Sequence[str]) -> OtherParts:
    source = DataYaml(folder / DATA_YAML)
    parts = tuple(key for key in source.lines if key in _ORDER[1:] and key != split)
    if not parts:
        return OtherParts()
    _check_same(source.path, parts, list(source.names.values()), labels)
    if list(source.names) != list(range(len(labels))) or source.root != folder.absolute():
        raise DatasetError(
            f"{source.path} numbers its classes from another number than 0, or has its pictures in "
            f"another folder ('path'); write {split} into a folder of its own"
        )
    is_new = not source.lines.get(split) and not (folder / "images" / split).exists()
    return OtherParts(parts, lines=source.lines, is_new=is_new)


def _of_lists(folder: Path, split: str, labels: Sequence[str]) -> OtherParts:
    lists = {path.name.removesuffix("_list.txt"): path for path in folder.glob("*_list.txt")}
    is_new = lists.pop(split, None) is None
    if not lists:
        return OtherParts()
    parts = tuple(sorted(lists))
    label_file = folder / LABELS
    _check_same(label_file, parts, read_labels(str(label_file)), labels)
    lines = [line for part in parts for _, line in read_lines(lists[part], str(lists[part]))]
    pictures = [line.split("\t")[0] if "\t" in line else line.split()[0] for line in lines]
    return OtherParts(parts, frozenset(Path(name).stem.lower() for name in pictures), is_new=is_new)


def _check_same(path: Path, parts: Sequence[str], old: Sequence[str], new: Sequence[str]) -> None:
    if list(old) != list(new):
        raise DatasetError(
            f"{path} is of {', '.join(parts)} too, whose classes are {', '.join(old)}; these are "
            f"{', '.join(new)}. The parts of one folder have the same classes in the same order: name "
            "another folder, or give both parts the same list of classes"
        )
