"""``init``: from labelled pictures to an experiment file that gives the reasons for its values."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .check import writable

if TYPE_CHECKING:
    from ..draft import Draft

PAGE = "check.html"
HELP = "write an experiment file and a split for labelled pictures, with a reason for each choice"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing experiment file")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `init` and `fit` that are about the pictures."""
    add = parser.add_argument
    source = "folder, archive or annotation file of labelled pictures; it stays as it is"
    add("source", type=Path, metavar="SOURCE", help=source)
    output = (
        "folder for the experiment file, the split and the run (default: output/NAME of the source)"
    )
    add("--output", type=Path, metavar="DIR", help=output)
    add("--type", help="type of data set to read, where the source holds several")
    share = "share of the images to hold out, where the source has no such part (default: 0.2)"
    add("--val", type=float, default=0.2, metavar="SHARE", help=share)
    add("--seed", type=int, default=0, help="another seed gives another split (default: 0)")
    skip = "leave out annotations that cannot be used, instead of stopping"
    add("--skip-invalid", action="store_true", help=skip)


def run(arguments: argparse.Namespace) -> int:
    """Write the experiment and say what to do next."""
    from ..draft import EXPERIMENT

    folder = init(arguments, force=arguments.force)
    print(f"next: paddlex-maskrcnn train --config {shlex.quote(str(folder / EXPERIMENT))}")
    return 0


def init(arguments: argparse.Namespace, *, force: bool = False) -> Path:
    """Draft an experiment and write it; returns its folder.

    Raises:
        ValueError: when one is there already, or with all that is wrong with the source.
    """
    from ..data.archive import is_archive, unpack
    from ..data.convert.output import fresh_folder
    from ..draft import EXPERIMENT, draft
    from ..report.check_page.page import as_page

    source, folder = arguments.source, output_folder(arguments)
    if not 0 < arguments.val < 1:
        raise ValueError(
            f"--val is {arguments.val:g}; a share of the images between 0 and 1 is needed"
        )
    if not source.exists():
        raise ValueError(f"there is no {str(source)!r}")
    if folder.is_dir() and source.samefile(folder):
        raise ValueError(
            f"{str(folder)!r} is the folder of the pictures, which stays as it is; name another --output"
        )
    if (folder / EXPERIMENT).exists() and not force:
        raise ValueError(
            f"{str(folder / EXPERIMENT)!r} exists and may have been edited; name another --output, or "
            "replace it with --force"
        )
    pictures = unpack(source, folder / "unpacked") if is_archive(source) else source
    drafted = draft(
        pictures,
        folder,
        kind=arguments.type,
        share=arguments.val,
        seed=arguments.seed,
        skip_invalid=arguments.skip_invalid,
        given=source,
    )
    if not force:
        _refuse_others(folder, drafted.files)
    print(writable("\n".join(drafted.lines)))
    page = as_page(drafted.inspection, drafted.parts, arguments.seed)
    try:
        with fresh_folder(folder, force=True) as fresh:
            for name, text in {**drafted.files, PAGE: writable(page)}.items():
                (fresh / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    except UnicodeEncodeError as error:
        name = error.object.split("\n")[error.object.count("\n", 0, error.start)]
        raise ValueError(
            f"{name!r} is not UTF-8, which the names in an experiment and its lists have to be: rename it"
        ) from error
    _tell(drafted, folder)
    return folder


def output_folder(arguments: argparse.Namespace) -> Path:
    """The folder of the experiment: what --output says, or one with the name of the source."""
    from ..data.archive import is_archive, stem_of

    if arguments.output is not None:
        return arguments.output
    source = arguments.source
    if source.name in ("", ".."):
        source = source.resolve()
    name = source.stem if source.is_file() else source.name
    if is_archive(source):
        name = stem_of(source)
    return Path("output") / (name or "experiment")


def _refuse_others(folder: Path, names: Iterable[str]) -> None:
    """Raise ValueError where a file of the experiment would replace one that is no part of any."""
    for name in names:
        if (folder / name).exists():
            raise ValueError(
                f"{str(folder / name)!r} exists; name another --output, or replace it with init --force"
            )


def _tell(drafted: Draft, folder: Path) -> None:
    """What was found wrong, and what was written."""
    from ..data.check.findings import NOTE
    from ..data.check.quick import as_line

    for finding in drafted.findings:
        if finding.level != NOTE:
            print(f"{finding.level}: {as_line(finding, str(folder / PAGE))}")
    print(f"wrote {', '.join(str(folder / name) for name in drafted.files)}")
    print(f"page with pictures of the data: {folder / PAGE}")
