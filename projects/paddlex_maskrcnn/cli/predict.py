"""``predict``: images, folders and videos through a saved model, to pictures, COCO JSON and CSV."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

from ..requirements import require_detectron2
from .processes import is_launched, join

HELP = "run a saved model on images and videos; writes pictures, predictions.json and .csv"
_LISTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a saved model, such as output/best_model; or coco:ResNet50, published weights",
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
    from ..processes import is_main, main_first, shard, to_main
    from ..progress import bar
    from .predict_journal import JournalPart, done_names, join_parts, open_journal
    from .predict_run import Work, find_inputs, options

    inputs = find_inputs(arguments.images, arguments.output)
    if is_launched():
        join(arguments.device)
    model = load_model(arguments.model, arguments.device)
    model.batch_predict([], **options(arguments))  # wrong options are told before the work
    _check_pictures(model, arguments)
    settings = _settings(arguments)
    # parts that an earlier run left are joined before another process opens a new one
    with main_first():
        if is_main():
            open_journal(arguments.output, settings, arguments.overwrite)
        done = done_names(arguments.output)
    rank, processes = shard()
    todo = [source for source in inputs if source.name not in done]
    journal = JournalPart(arguments.output, rank, settings)
    try:
        own = todo[rank::processes]
        with bar(len(own), "predicting", visible=is_main()) as progress:
            work = Work(model, arguments, journal, progress)
            work.run(own)
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
    from ..inference.published import is_published

    weights = arguments.model
    if not is_published(weights):
        with (Path(arguments.model) / "model.pth").open("rb") as file:
            # 64 bits tell weights apart, and messages about other settings stay readable
            weights = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    tile = arguments.tile
    return {
        "weights": weights,
        "score_threshold": arguments.score_threshold,
        "tile": list(tile) if tile else None,
        "overlap": arguments.overlap if tile else None,
    }


def _write(model: Any, folder: Path, skipped: int) -> None:
    from .predict_journal import COCO, CSV, rows, write_coco, write_csv

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
