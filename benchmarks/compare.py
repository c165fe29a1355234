"""Two runs of `benchmarks/run.py`: which ratio has become worse, and whether that can be believed.

    python benchmarks/compare.py old.json new.json [--threshold 0.1]     (make bench-compare A= B=)

Only ratios are compared, as seconds of two runs say more about the machine than about the code. A
row is slower when its ratio fell by more than the threshold and the intervals that hold the true
medians (95 %, order statistics) of both runs do not meet. A fall without that is called unsure: the
run has to be repeated with more rounds before anybody believes it. The exit status is 1 when a row is
slower or the new run's work was not equal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from side_by_side.record import Record, Row, read_record
from side_by_side.rounds import median_interval

THRESHOLD = 0.10
SLOWER, UNSURE, FASTER, SAME = "SLOWER", "unsure", "faster", ""
_HAVE_TO_AGREE = ("processor", "cores", "gpu")


@dataclass(frozen=True)
class Change:
    """One row in both runs.

    Attributes:
        old, new: median ratios.
        verdict: SLOWER, unsure, faster or nothing.
    """

    row: Row
    old: float
    new: float
    verdict: str

    @property
    def share(self) -> float:
        """Change of the ratio: -0.2 is a fifth worse."""
        return self.new / self.old - 1

    def __str__(self) -> str:
        row = self.row
        return (
            f"{self.verdict or '-':7} {self.old:7.2f} {self.new:7.2f} {100 * self.share:+7.1f} %  "
            f"{row.part}, {row.work}: {row.contestant} against {row.against}"
        )


def compare(old: Record, new: Record, threshold: float = THRESHOLD) -> list[Change]:
    """Rows that both runs have, in the order of the new one."""
    old_rows = {row.key: row for row in old.rows}
    return [change(old_rows[row.key], row, threshold) for row in new.rows if row.key in old_rows]


def change(old: Row, new: Row, threshold: float = THRESHOLD) -> Change:
    """What has become of one row."""
    before, after = old.ratio.median, new.ratio.median
    share = after / before - 1
    if abs(share) <= threshold:
        verdict = SAME
    elif _meet(median_interval(old.ratios), median_interval(new.ratios)):
        verdict = UNSURE
    else:
        verdict = SLOWER if share < 0 else FASTER
    return Change(new, before, after, verdict)


def _meet(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def notes(old: Record, new: Record) -> list[str]:
    """What a reader of the comparison has to know."""
    lines = [
        f"another {key}: {old.about['machine'].get(key)} and {new.about['machine'].get(key)}"
        for key in _HAVE_TO_AGREE
        if old.about["machine"].get(key) != new.about["machine"].get(key)
    ]
    lines += [
        f"other settings: {key} {value} and {new.about['settings'].get(key)}"
        for key, value in old.about["settings"].items()
        if value != new.about["settings"].get(key)
    ]
    keys = {row.key for row in new.rows}
    lines += [
        f"only in the old run: {', '.join(row.key)}" for row in old.rows if row.key not in keys
    ]
    keys = {row.key for row in old.rows}
    lines += [
        f"only in the new run: {', '.join(row.key)}" for row in new.rows if row.key not in keys
    ]
    return lines + [
        f"not the same work in the new run: {check.name}: {check.found}" for check in new.failed
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; 1 when a row is slower or the new run's work was not equal."""
    parser = argparse.ArgumentParser(
        prog="compare.py", description="Two runs of benchmarks/run.py."
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="a share; 0.1")
    args = parser.parse_args(arguments)
    try:
        old, new = read_record(args.old), read_record(args.new)
    except ValueError as error:
        parser.error(str(error))
    changes = compare(old, new, args.threshold)
    if not changes:
        parser.error(f"{args.old} and {args.new} have no row in common")
    print("            old     new     change   (ratios; above 1 is in favour of the first)")
    for change in changes:
        print(change)
    for note in notes(old, new):
        print(f"note: {note}")
    return summary(changes, new)


def summary(changes: Sequence[Change], new: Record) -> int:
    """The last lines and the exit status."""
    slower = [change for change in changes if change.verdict == SLOWER]
    # a rise that may be chance hurts nobody
    unsure = [change for change in changes if change.verdict == UNSURE and change.share < 0]
    if unsure:
        print(
            f"{len(unsure)} rows fell by more than their spread can tell; repeat with --rounds 15 "
            "(start-up has three rounds and memory two, whatever is asked for)"
        )
    if slower:
        print(f"{len(slower)} rows are slower", file=sys.stderr)
    return 1 if slower or new.failed else 0


if __name__ == "__main__":
    sys.exit(main())
