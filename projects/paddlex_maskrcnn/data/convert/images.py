"""The pictures of a written data set: names of their own in one folder, copied or linked."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..datasets.records import Record
from ..image_headers import file_bytes

HOW = ("copy", "symlink")
_SUFFIX_OF = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"RI": ".webp"}


def names_for(records: Iterable[Record]) -> dict[int, str]:
    """Image id -> file name; stems differ in more than case, since annotation files share them."""
    names: dict[int, str] = {}
    taken: set[str] = set()
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
    """Bring a picture to its place; one that is in a LabelMe json is always written out.

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
