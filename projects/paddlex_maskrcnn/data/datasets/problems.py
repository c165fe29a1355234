"""How bad data is reported: every problem counted by kind, listed with file and ids, once.

One rule for all formats. Problems of a *file* (it cannot be understood, or images are missing)
always stop. Problems of a *single annotation* stop too, unless the user asked to skip them; then
they are left out and listed in one warning. Small faults with one obvious meaning are repaired and
counted in a note. The user's files are never changed.
"""

from dataclasses import dataclass, field

_LISTED = 10


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
    """All problems of one dataset, in the order of their first appearance."""

    source: str
    found: dict[Kind, list[str]] = field(default_factory=dict)
    repaired: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: Kind, where: str) -> None:
        """Count one problem; `where` names the file and the ids."""
        self.found.setdefault(kind, []).append(where)

    def repair(self, title: str, where: str) -> None:
        """Count something that was set right."""
        self.repaired.setdefault(title, []).append(where)

    def stopping(self, skip_invalid: bool) -> bool:
        """Whether anything found must stop the user."""
        return any(not (skip_invalid and kind.skippable) for kind in self.found)

    def report(self, skip_invalid: bool = False) -> str:
        """The text of the error, or of the warning when everything found may be skipped."""
        count = sum(len(places) for places in self.found.values())
        plural = "problem" if count == 1 else "problems"
        lines = [f"{self.source}: {count} {plural} in the data"]
        for kind, places in self.found.items():
            lines.append(f"  {len(places)} x {kind.title}: {listed(places)}")
            lines.append(f"      -> {kind.remedy}")
        lines.append("  " + self._closing(skip_invalid))
        return "\n".join(lines)

    def _closing(self, skip_invalid: bool) -> str:
        if not self.stopping(skip_invalid):
            return "These annotations were left out, because skip_invalid=True."
        if not any(kind.skippable for kind in self.found):
            return "Nothing was loaded and no file was changed."
        return (
            "Nothing was loaded and no file was changed. skip_invalid=True leaves out single "
            "bad annotations (not problems of whole files) and says so in a warning."
        )

    def note(self) -> str:
        """One line on what was repaired; empty if nothing was."""
        parts = [f"{len(p)} x {title}: {listed(p)}" for title, p in self.repaired.items()]
        return f"{self.source}: repaired while loading: " + "; ".join(parts) if parts else ""


def listed(places: list[str]) -> str:
    """The first few places, and how many more there are."""
    more = len(places) - _LISTED
    return "; ".join(places[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
