"""What a run found, and its JSON form.

A row compares two contestants on one piece of work. Its key (part, work, contestant, against) is what
`compare` finds it by in another run, so names of work hold no measured value.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .rounds import Spread, ratios

SCHEMA = 1
UNITS = ("s", "MiB")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        part: training step, prediction and so on.
        work: what was done.
        contestant, against: names; a ratio above 1 is in favour of the contestant.
        unit: of the values: s or MiB.
        values, against_values: of each round.
        equal: how the work of the two was found to be equal; empty where that was not asked.
    """

    part: str
    work: str
    contestant: str
    against: str
    unit: str
    values: list[float]
    against_values: list[float]
    equal: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.part, self.work, self.contestant, self.against

    @property
    def ratios(self) -> list[float]:
        """Of each round: theirs / ours."""
        return ratios(self.against_values, self.values)

    @property
    def ratio(self) -> Spread:
        """Median and quartiles over the rounds."""
        return Spread.of(self.ratios)

    def as_plain(self) -> dict[str, Any]:
        """Plain data, with what a reader of the file wants to see at once."""
        medians = Spread.of(self.values).median, Spread.of(self.against_values).median
        return {
            **asdict(self),
            "ratio": asdict(self.ratio),
            "medians": dict(zip((self.contestant, self.against), medians, strict=True)),
        }


@dataclass(frozen=True)
class Check:
    """Whether two contestants did the same work.

    Attributes:
        name: what was compared.
        passed: the verdict.
        found: in words and numbers.
    """

    name: str
    passed: bool
    found: str


@dataclass
class Part:
    """What a part of the run has found."""

    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@dataclass
class Record:
    """A whole run.

    Attributes:
        about: command, date, commit, machine, versions, settings.
    """

    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        """Checks that did not pass."""
        return [check for check in self.checks if not check.passed]

    def add(self, part: Part) -> None:
        self.rows += part.rows
        self.checks += part.checks

    def save(self, path: Path) -> None:
        """Write the JSON file."""
        plain = {
            "schema": SCHEMA,
            **self.about,
            "rows": [row.as_plain() for row in self.rows],
            "checks": [asdict(check) for check in self.checks],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> Record:
    """A record that `save` wrote.

    Raises:
        ValueError: naming the file, when it is not one.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; `make bench` writes one") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        found = plain.get("schema") if isinstance(plain, dict) else None
        raise ValueError(
            f"{path} was not written by benchmarks/run.py (schema {found!r}, not {SCHEMA})"
        )
    try:
        rows = [_row(one) for one in plain.pop("rows")]
        checks = [Check(**one) for one in plain.pop("checks")]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a whole record: {error}") from None
    plain.pop("schema")
    return Record(plain, rows, checks)


def _row(plain: dict[str, Any]) -> Row:
    known = {key: plain[key] for key in Row.__dataclass_fields__ if key != "equal"}
    row = Row(**known, equal=plain.get("equal", ""))
    if row.unit not in UNITS or not row.values or len(row.values) != len(row.against_values):
        raise TypeError(f"row {' / '.join(row.key)} has no values of both contestants")
    return row


def rows_of(
    part: str,
    work: str,
    seconds: dict[str, list[float]],
    pairs: Sequence[tuple[str, str]],
    *,
    unit: str = "s",
    equal: dict[tuple[str, str], str] | None = None,
) -> list[Row]:
    """A row for each pair (contestant, against) of one piece of work.

    Args:
        seconds: contestant -> values of the rounds.
        equal: pair -> how their work was found equal.
    """
    return [
        Row(
            part,
            work,
            one,
            other,
            unit,
            seconds[one],
            seconds[other],
            (equal or {}).get((one, other), ""),
        )
        for one, other in pairs
        if one in seconds and other in seconds
    ]
