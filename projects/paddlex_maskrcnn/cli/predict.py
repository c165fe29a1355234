"""``predict``: images, folders and videos through a saved model, to pictures, COCO JSON and CSV."""

from __future__ import annotations

import argparse
import glob
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..requirements import require_detectron2
from .processes import is_launched, join

HELP = "run a saved model on images and videos; writes pictures, predictions.json and .csv"
_LISTED = 20


@dataclass(frozen=True)
class Input:
    """An image or video.

    Attributes:
        name: the path as it was given or found; what the output calls it.
        folder: where its picture goes, below the output folder.
    """

    name: str
    folder: Path

    @property
    def is_video(self) -> bool:
        """By its name."""
        from ..data.videos import is_video

        return is_video(self.name)


def find_inputs(arguments: Sequence[str], output: Path) -> list[Input]:
    """Images and videos of files, folders (all below them) and glob patterns, each once.

    Args:
        output: folder that is written to; what lies in it is no input.

    Raises:
        ValueError: for a folder or pattern without any, or an output folder that is an input.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        names = [name for name in _found(argument) if _is_outside(name, argument, output)]
        if not names:
            raise ValueError(f"there is no image or video in {argument}")
        found.update(dict.fromkeys(names))
    below = _common_folder(list(found))
    return [Input(name, Path(name).resolve().parent.relative_to(below)) for name in found]


def _found(argument: str) -> Iterator[str]:
    from ..data.datasets.files import files_below  # imports torch, which --help does without

    path = Path(argument)
    if path.is_dir():
        yield from (one.as_posix() for one in files_below(path) if _is_wanted(one.name))
    elif path.exists() or not glob.has_magic(argument):
        yield path.as_posix()  # a missing file too: it is reported with those that cannot be read
    else:
        for name in sorted(glob.glob(argument, recursive=True)):
            if Path(name).is_dir():
                yield from _found(name)
            elif _is_wanted(name):
                yield Path(name).as_posix()


def _is_wanted(name: str) -> bool:
    from ..data.datasets.files import is_picture
    from ..data.videos import is_video

    return not Path(name).name.startswith(".") and (is_picture(name) or is_video(name))


def _is_outside(name: str, argument: str, output: Path) -> bool:
    if not Path(argument).is_dir():
        return True
    if output.resolve() == Path(argument).resolve():
        raise ValueError(
            f"--output {output} is the folder of the images; choose another, such as "
            f"{output / 'predictions'}"
        )
    return output.resolve() not in Path(name).resolve().parents


def _common_folder(names: Sequence[str]) -> Path:
    """The deepest folder that holds all of them."""
    parents = [Path(name).resolve().parent for name in names]
    shared = parents[0]
    while not all(parent.is_relative_to(shared) for parent in parents):
        shared = shared.parent
    return shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL_DIR", help="a saved model, such as output/best_model"
    )
    parser.add_argument(
        "images", nargs="+", metavar="PATH", help="images, videos, folders of them, or patterns"
    )
    parser.add_argument("--output", type=Path, default=Path("output/predictions"), metavar="DIR")
    parser.add_argument(
        "--score-threshold",
        type=float,
        metavar="S",
        help="least score that is written (default: the model's)",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="score drawn from (default: 0.5)"
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        metavar="PIXELS",
        help="look at large images in tiles of this side, or of HEIGHTxWIDTH",
    )
    parser.add_argument(
        "--overlap", type=float, default=0.2, metavar="PART", help="of a tile (default: 0.2)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=4, metavar="N", help="images that run together"
    )
    parser.add_argument("--no-pictures", action="store_true", help="draw nothing")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="begin anew; otherwise images that DIR has results of are skipped",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0; 1 when some of the inputs could not be read."""
    _check(arguments)
    require_detectron2()
    from .. import load_model
    from ..processes import (
        is_main,
        main_first,
        shard,
        to_main,
    )
    from .predict_run import (
        JournalPart,
        Work,
        done_names,
        join_parts,
        open_journal,
        options,
    )

    inputs = find_inputs(arguments.images, arguments.output)
    if is_launched():
        join(arguments.device)
    model = load_model(arguments.model, arguments.device)
    model.batch_predict([], **options(arguments))  # wrong options are told before the work
    _check_pictures(model, arguments)
    settings = _settings(arguments)
    with main_first():
        if is_main():
            open_journal(arguments.output, settings, arguments.overwrite)
        done = done_names(arguments.output)
    rank, processes = shard()
    todo = [one for one in inputs if one.name not in done]
    journal = JournalPart(arguments.output, rank, settings)
    try:
        with _bar(len(todo[rank::processes])) as bar:
            work = Work(model, arguments, journal, bar)
            work.run(todo[rank::processes])
    finally:
        journal.close()
    unreadable = to_main(work.unreadable)  # waits for all
    if not is_main():
        return 0
    join_parts(arguments.output, settings)
    _write(model, arguments.output, len(inputs) - len(todo))
    return _tell_unreadable(unreadable)


def _tile(text: str) -> tuple[int, int]:
    """(height, width) of 512 or 480x640."""
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is neither PIXELS nor HEIGHTxWIDTH")
    return int(sides[0]), int(sides[-1])


def _check(arguments: argparse.Namespace) -> None:
    if arguments.batch_size < 1:
        raise ValueError(f"--batch-size is {arguments.batch_size}; at least 1 is needed")


def _check_pictures(model: Any, arguments: argparse.Namespace) -> None:
    channels = model.params.input_channel
    if channels != 3 and not arguments.no_pictures:
        raise ValueError(
            f"the model takes images of {channels} channels, which cannot be drawn; "
            f"add --no-pictures"
        )


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What decides the results."""
    with (Path(arguments.model) / "model.pth").open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    tile = arguments.tile
    return {
        "weights": weights,
        "score_threshold": arguments.score_threshold,
        "tile": list(tile) if tile else None,
        "overlap": arguments.overlap if tile else None,
    }


def _bar(total: int) -> Any:
    from tqdm import tqdm

    from ..processes import is_main

    # None: shown on terminals only
    return tqdm(total=total, unit="image", disable=None if is_main() else True)


def _write(model: Any, folder: Path, skipped: int) -> None:
    from .predict_run import (
        COCO,
        CSV,
        rows,
        write_coco,
        write_csv,
    )

    card = model.network.card
    images, objects = write_coco(folder, rows(folder), card.labels, card.category_ids)
    write_csv(folder, rows(folder))
    before = f" ({skipped} of the inputs were there already)" if skipped else ""
    print(f"{images} images, {objects} objects{before}: {COCO}, {CSV} and pictures in {folder}")


def _tell_unreadable(unreadable: list[tuple[str, str]]) -> int:
    if not unreadable:
        return 0
    print(f"{len(unreadable)} could not be read:", file=sys.stderr)
    for name, reason in unreadable[:_LISTED]:
        print(f"    {name}: {reason}", file=sys.stderr)
    if len(unreadable) > _LISTED:
        print(f"    and {len(unreadable) - _LISTED} more", file=sys.stderr)
    return 1
