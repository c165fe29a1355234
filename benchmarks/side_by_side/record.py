"""What a run measured: rows and checks, where it ran, the JSON file, and the table of a page.

A row compares two contestants on the same work. Its key (part, work, contestant, against) is how
`compare.py` finds it in another run, so names of work hold no measured value.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from .rounds import Spread, ratios
from .settings import Settings

SCHEMA = 1
UNITS = ("s", "MiB")
BEGIN = "<!-- begin: python benchmarks/run.py --write -->"
END = "<!-- end -->"
_HEAD = "| part | work | | against | times as fast | quartiles | median of each | equal work |\n"
_RULE = "|---|---|---|---|---|---|---|---|\n"
_PACKAGES = (
    "torch", "torchvision", "sal-detectron2", "detectron2", "numpy", "opencv-python-headless",
    "pillow", "pycocotools",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]


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
        schema = plain.get("schema") if isinstance(plain, dict) else None
        raise ValueError(
            f"{path} was not written by benchmarks/run.py (schema {schema!r}, not {SCHEMA})"
        )
    try:
        rows = [_row(entry) for entry in plain.pop("rows")]
        checks = [Check(**entry) for entry in plain.pop("checks")]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a whole record: {error}") from None
    plain.pop("schema")
    return Record(plain, rows, checks)


def _row(plain: dict[str, Any]) -> Row:
    values = {key: plain[key] for key in Row.__dataclass_fields__ if key != "equal"}
    row = Row(**values, equal=plain.get("equal", ""))
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
    equal = equal or {}
    return [
        Row(part, work, a, b, unit, seconds[a], seconds[b], equal.get((a, b), ""))
        for a, b in pairs
        if a in seconds and b in seconds
    ]


def about(settings: Settings, command: Sequence[str]) -> dict[str, Any]:
    """Command, date, commit, machine, versions and settings of a run."""
    return {
        "command": "python benchmarks/" + " ".join(command),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": machine(settings.device),
        "versions": versions(),
        "settings": asdict(settings),
    }


def machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, cores, memory, load, and the GPU where one is measured."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }
    if device == "cuda":
        import torch  # not needed to compare two files

        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = torch.version.cuda
        facts["cudnn"] = torch.backends.cudnn.version()
    return facts


def processor() -> str:
    """As /proc/cpuinfo names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Of Python and of what takes part; only what is installed."""
    installed = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _git(*arguments: str) -> str:
    """What git says; empty where there is no git or no repository."""
    command = ["git", "--no-optional-locks", "-C", str(_ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def page_part(record: Record) -> str:
    """Command, machine and date, the table, and the checks."""
    rows = "".join(f"{line(row)}\n" for row in record.rows)
    checks = "".join(
        f"- {'yes' if c.passed else 'NO'}: {c.name}: {c.found}\n" for c in record.checks
    )
    return f"{_origin(record)}\n{_HEAD}{_RULE}{rows}\nThe same work?\n\n{checks}"


def line(row: Row) -> str:
    """A row of the table."""
    ratio = row.ratio
    own, other = Spread.of(row.values).median, Spread.of(row.against_values).median
    return (
        f"| {row.part} | {row.work} | {row.contestant} | {row.against} | **{ratio.median:.2f}** "
        f"| {ratio.q1:.2f} to {ratio.q3:.2f} | {amount(own, row.unit)} / {amount(other, row.unit)} "
        f"| {row.equal or '-'} |"
    )


def amount(value: float, unit: str) -> str:
    """A value with a unit that suits its size."""
    if unit == "MiB":
        return f"{value:.0f} MiB"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _origin(record: Record) -> str:
    about = record.about
    machine, versions, settings = about["machine"], about["versions"], about["settings"]
    where = machine.get("gpu") or f"{machine['cores']} cores of {machine['processor']}"
    state = "with uncommitted changes" if about["uncommitted_changes"] else ""
    return (
        f"`{about['command']}`, {where}, {settings['threads']} threads, load {machine['load_before']} "
        f"before the run, Python {versions['python']}, torch {versions.get('torch')}, torchvision "
        f"{versions.get('torchvision')}, {about['date'][:10]}, commit {about['commit'] or 'unknown'} "
        f"{state}".rstrip()
        + ".\n"
    )


def write_between(path: Path, text: str) -> None:
    """Replace what stands between the two marker comments of a page.

    Raises:
        ValueError: as `around_markers`.
    """
    before, after = around_markers(path)
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def around_markers(path: Path) -> tuple[str, str]:
    """What stands before and after the two marker comments.

    Raises:
        ValueError: when the page is not there or has not both markers, once each.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(
            f"--write is {path}, which does not exist; create it with {BEGIN} and {END}"
        ) from None
    before, _, rest = page.partition(BEGIN)
    if page.count(BEGIN) != 1 or END not in rest:
        raise ValueError(f"{path} needs one line {BEGIN} and after it one {END}; put them in")
    return before, rest.partition(END)[2]


def lines_of(rows: list[Row]) -> Iterator[str]:
    """Rows for a terminal."""
    for row in rows:
        ratio = row.ratio
        medians = Spread.of(row.values).median, Spread.of(row.against_values).median
        shown = " / ".join(amount(value, row.unit) for value in medians)
        yield (
            f"{row.part + ', ' + row.work:58.58} {row.contestant:>20.20} against {row.against:28.28} "
            f"{ratio.median:6.2f}x ({ratio.q1:.2f} to {ratio.q3:.2f})  {shown}"
        )
