"""How bad data is reported: every problem counted by kind, listed with file and ids, once.

One rule for all formats. Problems of a *file* (it cannot be understood, or images are missing)
always stop. Problems of a *single annotation* stop too, unless the user asked to skip them; then
they are left out and listed in one warning. Small faults with one obvious meaning are repaired and
counted in a note. The user's files are never changed.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

_MOST_LISTED, _LONGEST = 10, 400  # a file name of a damaged list has thousands of characters


class DatasetError(ValueError):
    """Annotation files or images that cannot be used as they are."""


@dataclass(frozen=True)
class Kind:
    """One kind of problem: what it is called and how to get rid of it.

    Attributes:
        title: what is wrong, in words that fit after "3 x".
        remedy: what the user can do.
        skippable: whether it concerns a single annotation, so that it can be left out.
    """

    title: str
    remedy: str
    skippable: bool = False


@dataclass
class Problems:
    """All problems of one data set, in the order of their first appearance.

    Attributes:
        source: names the data set in messages.
        occurrences: kind -> where it occurs.
        repaired: title of what was set right -> where.
        remarks: kind -> where, of what can be used but may not be what was meant.
    """

    source: str
    occurrences: dict[Kind, list[str]] = field(default_factory=dict)
    repaired: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[Kind, list[str]] = field(default_factory=dict)

    def add(self, kind: Kind, where: str) -> None:
        """Count one problem; `where` names the file and the ids."""
        self.occurrences.setdefault(kind, []).append(where[:_LONGEST])

    def repair(self, title: str, where: str) -> None:
        """Count something that was set right."""
        self.repaired.setdefault(title, []).append(where[:_LONGEST])

    def remark(self, kind: Kind, where: str) -> None:
        """Count something that can be used, but that the user should look at."""
        self.remarks.setdefault(kind, []).append(where)

    def finish(self, skip_invalid: bool) -> None:
        """Raise or warn about everything; inside `collect_problems` hand it over instead.

        Raises:
            DatasetError: if something must stop the user.
        """
        collected = _collected.get()
        if collected is not None:
            # by identity: two data sets may have equal problems, and a reader that ends early
            # may end a second time
            if not any(problems is self for problems in collected):
                collected.append(self)
            return
        if self.occurrences and self.stopping(skip_invalid):
            raise DatasetError(self.report(skip_invalid))
        if self.occurrences:
            logger.warning(self.report(skip_invalid))
        if self.repaired:
            logger.warning(self.note())
        for kind, wheres in self.remarks.items():
            words = f"{len(wheres)} x {kind.title}: {_listed(wheres)}; {kind.remedy}"
            logger.warning("%s: %s", self.source, words)

    def stopping(self, skip_invalid: bool) -> bool:
        """Whether anything must stop the user."""
        return any(not (skip_invalid and kind.skippable) for kind in self.occurrences)

    def report(self, skip_invalid: bool = False) -> str:
        """The text of the error, or of the warning when everything may be skipped."""
        count = sum(len(wheres) for wheres in self.occurrences.values())
        plural = "problem" if count == 1 else "problems"
        lines = [f"{self.source}: {count} {plural} in the data"]
        for kind, wheres in self.occurrences.items():
            lines.append(f"  {len(wheres)} x {kind.title}: {_listed(wheres)}")
            lines.append(f"      -> {kind.remedy}")
        lines.append("  " + self._closing(skip_invalid))
        return "\n".join(lines)

    def _closing(self, skip_invalid: bool) -> str:
        if not self.stopping(skip_invalid):
            return "These annotations were left out, because skip_invalid=True."
        if not any(kind.skippable for kind in self.occurrences):
            return "Nothing was loaded and no file was changed."
        return (
            "Nothing was loaded and no file was changed. skip_invalid=True leaves out single "
            "bad annotations (not problems of whole files) and says so in a warning."
        )

    def note(self) -> str:
        """One line on what was repaired; empty if nothing was."""
        parts = [f"{len(w)} x {title}: {_listed(w)}" for title, w in self.repaired.items()]
        return f"{self.source}: repaired while loading: " + "; ".join(parts) if parts else ""


def _listed(wheres: list[str]) -> str:
    """The first few entries, and how many more there are."""
    more = len(wheres) - _MOST_LISTED
    return "; ".join(wheres[:_MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")


# A ContextVar, so that no reader has to hand a switch down for the one caller that inspects data.
_collected: ContextVar[list[Problems] | None] = ContextVar("collected", default=None)


@contextmanager
def collect_problems() -> Iterator[list[Problems]]:
    """Data sets that are opened inside do not stop or warn: their problems are in this list.

    They hold what could be used; an image that could not be opened at all is not in them.
    """
    collected: list[Problems] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)
