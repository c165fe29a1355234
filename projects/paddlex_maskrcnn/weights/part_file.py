"""A download that is not complete yet: the bytes so far and what the server said of the file.

What: `NAME.part` beside the file to be, and `NAME.part.json`, by which a later run knows whether
the bytes still belong to what is published.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """What a server says of a file.

    Attributes:
        url: where it was asked for.
        size: bytes of the whole file; None where it does not say.
        validator: a strong ETag or the date of change, for `If-Range`; None where it gives neither.
        sha256: of the whole file, where the publisher gives one.
    """

    url: str
    size: int | None
    validator: str | None
    sha256: str | None


class PartFile:
    """The incomplete file of a target.

    Attributes:
        path: of the bytes so far.
    """

    def __init__(self, target: Path) -> None:
        """Args: target: the file to be."""
        self.path = target.with_name(f"{target.name}.part")
        self._notes = target.with_name(f"{target.name}.part.json")

    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def known(self, url: str) -> Published | None:
        """What the bytes so far are of; None when they cannot be continued."""
        try:
            known = Published(**json.loads(self._notes.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or not written to its end
            return None
        usable = known.url == url and known.validator and known.size is not None
        return known if usable and 0 < self.size() <= (known.size or 0) else None

    def start(self, published: Published) -> None:
        """Forget the bytes so far: a file begins."""
        self.path.write_bytes(b"")  # first, or a crash would leave old bytes under new notes
        self._notes.write_text(json.dumps(asdict(published)), encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Becomes the target, which is there whole or not at all, even if the machine dies."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
