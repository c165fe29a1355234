"""A record as Markdown, and how it gets into a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .record import Record, Row
from .rounds import Spread

BEGIN = "<!-- begin: python benchmarks/run.py --write -->"
END = "<!-- end -->"
_HEAD = "| part | work | | against | times as fast | quartiles | median of each | equal work |\n"
_RULE = "|---|---|---|---|---|---|---|---|\n"


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
