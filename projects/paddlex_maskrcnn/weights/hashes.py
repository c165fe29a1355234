"""Whether a weight file is what was published: by its name, by its publisher, by its download.

What: a download writes `NAME.sha256` beside the file, in the format of the sha256sum tool, so that
every later start notices damage, also where the publisher gives no hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownHash:
    """What a hash of a file has to be.

    Attributes:
        algorithm: sha256 or md5.
        prefix: how it begins, hexadecimal, or all of it.
        source: who says so, for messages.
    """

    algorithm: str
    prefix: str
    source: str


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal hash of a file."""
    with path.open("rb") as file:
        # md5 is no protection against forgery, but some publishers give nothing else
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def record_path(path: Path) -> Path:
    """Where the sha256 of a file is written down."""
    return path.with_name(f"{path.name}.sha256")


def write_record(path: Path, sha256: str) -> None:
    """Write down the sha256 of a file."""
    record_path(path).write_text(f"{sha256}  {path.name}\n", encoding="utf-8")


def recorded(path: Path) -> list[KnownHash]:
    """The sha256 written down for a file; nothing when none is."""
    record = record_path(path)
    words = record.read_text(encoding="utf-8").split() if record.is_file() else []
    return [KnownHash("sha256", words[0].lower(), record.name)] if words else []


def mismatch(path: Path, known: Iterable[KnownHash]) -> str:
    """The first of the hashes that a file does not have; empty when it has all of them."""
    found: dict[str, str] = {}
    for one in known:
        if one.algorithm not in found:
            found[one.algorithm] = digest(path, one.algorithm)
        got = found[one.algorithm]
        if not got.startswith(one.prefix):
            begins = f"its {one.algorithm} begins with {got[:8]}"
            return f"{begins}, {one.source} says {one.prefix[:8]}"
    return ""
