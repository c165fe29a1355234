"""Annotation files without a list of images: each with its picture and mask, wherever they are.

Tools write the xml or json beside the picture (LabelImg, Roboflow), or into a folder of its own
(`Annotations` beside `JPEGImages`). File and picture are called alike; of several pictures of a name the
nearest is meant.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import files_below, is_picture
from .problems import Kind

SEVERAL_PICTURES = Kind(
    "annotation file with several pictures of its name",
    "keep one of them, or give file_list with lines of image and annotation file",
)

# what is drawn, not photographed, and called as the pictures are
_MASK_FOLDERS = ("segmentationobject", "segmentationclass", "segmentationclassvisualization")


@dataclass(frozen=True)
class Annotated:
    """An annotation file.

    Attributes:
        annotation: the file.
        pictures: that it can be of, one where all is well; where it should be if there is none.
        mask: where its mask file is or should be, of formats that have some.
    """

    annotation: Path
    pictures: Sequence[Path]
    mask: Path


def annotated_in(
    data_dir: Path, suffix: str, mask_folder: str, picture_named: Callable[[Path], str]
) -> list[Annotated]:
    """All annotation files below a folder, in order of their names.

    Args:
        suffix: of annotation files.
        mask_folder: name of folders with masks; empty for formats without.
        picture_named: the picture that an annotation file names, for those without one called alike.
    """
    files = list(files_below(data_dir.absolute()))
    by_stem: dict[str, list[Path]] = defaultdict(list)
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        if is_picture(path.name) and path.parent.name.lower() not in _MASK_FOLDERS:
            by_stem[path.stem.casefold()].append(path)
            by_name[path.name.casefold()].append(path)
    result = []
    for path in (path for path in files if path.suffix.lower() == suffix):
        alike = by_stem.get(path.stem.casefold())
        if not alike:
            name = os.path.basename(picture_named(path).replace("\\", "/"))
            alike = by_name.get(name.casefold()) or [path.parent / (name or f"{path.stem}.jpg")]
        mask = _mask_of(path, data_dir.absolute(), mask_folder)
        result.append(Annotated(path, _nearest(path, alike), mask))
    return result


def _nearest(annotation: Path, pictures: Iterable[Path]) -> list[Path]:
    """Of several pictures those with the fewest steps between folders."""
    pictures = list(pictures)
    if len(pictures) < 2:
        return pictures
    steps = [len(Path(os.path.relpath(each.parent, annotation.parent)).parts) for each in pictures]
    return [path for path, count in zip(pictures, steps, strict=True) if count == min(steps)]


def _mask_of(annotation: Path, data_dir: Path, mask_folder: str) -> Path:
    name = f"{annotation.stem}.png"
    default = data_dir / mask_folder / name
    if not mask_folder:
        return default
    candidates = (
        each / mask_folder / name for each in (annotation.parent.parent, annotation.parent)
    )
    return next((path for path in candidates if path.is_file()), default)
