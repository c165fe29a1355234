"""``split``: a data set into training and held-out parts, as COCO json; the original stays as it is.

COCO's entries are dealt as they are in their file. Other formats are read as for training and dealt as
COCO entries, which have words for all that these can say; the pictures stay where they are.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .convert import add_source_arguments, complete_source, open_source

if TYPE_CHECKING:
    from ..data.convert.split import Group, SplitSource

HELP = "deal a data set into train, val and test parts, classes in proportion"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_source_arguments(parser)
    add("out", type=Path, metavar="OUT", help="folder for train.json, val.json and test.json")
    add("--val", type=float, default=0.2, help="share of the images held out (default: 0.2)")
    add("--test", type=float, default=0.0, help="share for a test part (default: none)")
    add("--seed", type=int, default=0, help="another seed deals otherwise (default: 0)")
    group = "images that must stay together: a key of the image entries, or a regular expression "
    group += "for file names, such as '^([^_]+)_' for what stands before the first underscore"
    add("--group-by", metavar="KEY|REGEX", help=group)
    add("--force", action="store_true", help="replace parts that exist")


def run(arguments: argparse.Namespace) -> int:
    """Write the parts and show what is in them."""
    from ..data.convert.output import keep_apart, write_file
    from ..data.convert.split import deal

    shares = _shares(arguments.val, arguments.test)
    source, data_dir = _source(arguments)
    if len(source.groups) < len(shares):
        raise ValueError(
            f"{arguments.source} has {len(source.groups)} groups of images, too few for "
            f"{len(shares)} parts"
        )
    parts = dict(
        zip(shares, deal(source.groups, list(shares.values()), arguments.seed), strict=True)
    )
    targets = {name: arguments.out / f"{name}.json" for name in parts}
    for target in targets.values():
        keep_apart(target, [arguments.source])
        if target.exists() and not arguments.force:
            raise ValueError(f"{str(target)!r} exists; name another folder, or say --force")
    for name, groups in parts.items():
        content = json.dumps(source.part(groups), ensure_ascii=False)
        write_file(targets[name], content, force=arguments.force)
    print(_table(source, parts))
    print(f"wrote {', '.join(str(target) for target in targets.values())}")
    for target in targets.values():
        print(f"read it with pdx.datasets.CocoDetection({str(data_dir)!r}, {str(target)!r})")
    return 0


def _source(arguments: argparse.Namespace) -> tuple[SplitSource, str | Path]:
    """What is dealt, and the folder that its file names start from."""
    from ..data.convert.split import SplitSource

    complete_source(arguments)
    if arguments.source_format == "coco":
        data_dir = arguments.data_dir or arguments.source.parent
        return SplitSource.of_file(arguments.source, arguments.group_by), data_dir
    from ..data.convert.convert import coco_content

    dataset = open_source(arguments)
    print(dataset.describe())
    content, data_dir = coco_content(dataset)
    return SplitSource(content, str(arguments.source), arguments.group_by), data_dir


def _shares(val: float, test: float) -> dict[str, float]:
    """Part -> share, those of nothing left out."""
    for name, share in (("--val", val), ("--test", test)):
        if not 0 <= share < 1:
            raise ValueError(
                f"{name} is {share:g}; a share of the images from 0 to below 1 is needed"
            )
    if not 0 < val + test < 1:
        raise ValueError(f"--val {val:g} and --test {test:g} leave nothing to one of the parts")
    shares = {"train": 1 - val - test, "val": val, "test": test}
    return {name: share for name, share in shares.items() if share > 0}


def _table(source: SplitSource, parts: dict[str, list[Group]]) -> str:
    """Images, groups and objects of each class in each part."""
    rows = [["", *parts]]
    rows.append(
        ["images", *(str(sum(len(group.images) for group in part)) for part in parts.values())]
    )
    if any(len(group.images) > 1 for group in source.groups):
        rows.append(["groups", *(str(len(part)) for part in parts.values())])
    counts = {
        name: sum((group.objects for group in part), Counter[int]()) for name, part in parts.items()
    }
    for number, name in source.names.items():
        rows.append([name, *(str(counts[part][number]) for part in parts)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
