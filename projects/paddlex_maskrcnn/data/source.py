"""What a folder of labelled pictures is: its format, its parts, and the data sets that read them.

A format is told by what its files hold, not by their names; names tell the parts (train, val, test). Where
two formats are there, or none, an error says what was seen: nothing is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.check import suggestion
from ..config.dataset_params import DATASETS, JOINED, DatasetChoice
from .archive import as_folder
from .datasets.problems import DatasetError
from .source_files import FORMATS, SourceFiles, sort_files
from .source_parts import SourcePart, parts_of

__all__ = ["Source", "SourcePart", "recognize"]

_LEVELS = 2  # folders above an annotation file that may hold its pictures


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


def recognize(path: Path, kind: str | None = None) -> Source:
    """The format and parts of a folder, or of an annotation file with its pictures.

    An archive is unpacked once, into a folder NAME_unpacked of the working folder.

    Args:
        kind: the data set's type, a key of DATASETS, where the folder holds more than one format.

    Raises:
        DatasetError: if there is nothing of that name, or none or several formats are in it; labels without
            their pictures, or pictures without labels; an archive that cannot be unpacked.
        ValueError: if `kind` is not the type of a format that is known here.
    """
    if kind is not None and kind not in FORMATS:
        raise ValueError(
            f"type is {kind!r}; choose one of {', '.join(FORMATS)}{suggestion(kind, FORMATS)}"
        )
    if not path.exists():
        raise DatasetError(f"there is no file or folder {str(path)!r}")
    folder = as_folder(path)
    notes = [] if folder == path else [f"{path} is unpacked into {folder}"]
    files = sort_files(folder.absolute()) if folder.is_dir() else _of_file(folder.absolute())
    files.notes += notes
    formats = [name for name in files.formats if kind in (None, name)]
    if not formats:
        raise DatasetError(_nothing(path, files, kind))
    if len(formats) > 1:
        listed = "; ".join(f"{name}: {files.listed(files.evidence(name))}" for name in formats)
        raise DatasetError(
            f"{str(path)!r} holds annotations of {len(formats)} formats ({listed}): name a folder "
            "of one of them, or choose one with --type"
        )
    (name,) = formats
    parts = parts_of(name, files)
    return Source(FORMATS[name], parts, files.listed(files.evidence(name)), files.notes)


def _of_file(path: Path) -> SourceFiles:
    """An annotation file and the pictures around it: in its folder, or in one that this is in."""
    folder = path.parent
    files = sort_files(folder, only=path)
    for above in list(folder.parents)[:_LEVELS]:
        if files.pictures or above == Path(above.anchor):
            break
        files = sort_files(above, only=path)
    each = [
        name
        for name in ("LabelMeDetection", "EasyDataDet", "VOCDetection")
        if files.by_format[name]
    ]
    if each:  # it is one of many
        files = sort_files(folder)
        files.notes.append(
            f"all annotation files of {str(folder)!r} are read, not {path.name} alone"
        )
    return files


def _choice(parts: Sequence[SourcePart]) -> DatasetChoice:
    choices = [
        DatasetChoice(type=part.type, arguments=DATASETS[part.type](**part.arguments))
        for part in parts
    ]
    if len(choices) == 1:
        return choices[0]
    return DatasetChoice(type=JOINED, arguments=DATASETS[JOINED](parts=choices))


def _nothing(path: Path, files: SourceFiles, kind: str | None) -> str:
    """The message for a source without annotations."""
    formats = ", ".join(FORMATS.values())
    if kind is not None and files.formats:
        there = ", ".join(FORMATS[name] for name in files.formats)
        return f"{str(path)!r} has no annotations of {kind}; it has annotations of {there}"
    if files.others:
        listed = files.listed(files.others)
        seen = f"none of its json and xml files has a known format ({listed}); known formats: {formats}"
    elif files.archives:
        seen = f"it holds archives ({files.listed(files.archives)}): give one of them, or unpack them first"
    elif files.pictures:
        seen = (
            f"it has {len(files.pictures)} pictures, but no labels to learn from: draw the outlines of the "
            "objects with a labelling tool and save or export them beside the pictures as one of "
            f"{formats}"
        )
    elif path.is_dir() and not any(path.iterdir()):
        seen = "the folder is empty; labelled pictures are needed"
    else:
        seen = f"it has neither pictures nor annotations; known formats: {formats}"
    return f"{str(path)!r}: {seen}"
