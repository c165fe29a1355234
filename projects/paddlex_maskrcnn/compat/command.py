"""PaddleX's command, `paddlex --split_dataset ...`, as commands of this package.

Differences: nothing is written over without --force; classes, areas and parts are those of `convert` and
`split` (docs/paddlex_compat.md).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

_SPLIT, _CONVERT, _EXPORT = "--split_dataset", "--data_conversion", "--export_inference"
FORMS = frozenset({_SPLIT, _CONVERT, _EXPORT, "--export_onnx"})

_PICTURES = "JPEGImages"  # PaddleX's folder beside annotations.json


def as_command(arguments: Sequence[str], program: str) -> list[str]:
    """The same in our words: the command's name and its arguments.

    Args:
        arguments: PaddleX's, in any order.
        program: its name in messages.

    Raises:
        ValueError: for what PaddleX did and is not done here, or an argument that is missing.
        SystemExit: for an argument that is not PaddleX's.
    """
    parsed = _parser(program).parse_args(arguments)
    if parsed.split_dataset:
        return _split(parsed)
    return _conversion(parsed) if parsed.data_conversion else _export(parsed)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    form = parser.add_mutually_exclusive_group(required=True)
    for name in sorted(FORMS):
        form.add_argument(name, action="store_true")
    for name in ("dataset_dir", "format", "val_value", "test_value", "source", "to", "pics"):
        parser.add_argument(f"--{name}")
    for name in ("annotations", "save_dir", "model_dir", "fixed_input_shape", "onnx_opset"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    return parser


def _needed(parsed: argparse.Namespace, form: str, *names: str) -> None:
    missing = [f"--{name}" for name in names if getattr(parsed, name) is None]
    if missing:
        raise ValueError(f"{form} needs {', '.join(missing)}")


def _split(parsed: argparse.Namespace) -> list[str]:
    _needed(parsed, _SPLIT, "dataset_dir", "format", "val_value")
    folder, form = Path(parsed.dataset_dir), parsed.format.lower()
    if form != "coco":
        raise ValueError(
            f"{_SPLIT} --format {parsed.format}: here COCO only; `paddlex-maskrcnn split {folder} OUT` deals "
            "Pascal VOC, EasyData, LabelMe and YOLO sets and writes COCO files"
        )
    source = folder / "annotations.json"
    if not source.is_file():
        raise ValueError(f"{_SPLIT} needs {source}, as --data_conversion writes it")
    pictures = folder / _PICTURES
    shares = ["--val", parsed.val_value, "--test", parsed.test_value or "0"]
    where = ["--data-dir", str(pictures if pictures.is_dir() else folder)]
    return ["split", "--from", "coco", str(source), str(folder), *where, *shares, *_force(parsed)]


def _conversion(parsed: argparse.Namespace) -> list[str]:
    _needed(parsed, _CONVERT, "source", "to", "pics", "annotations", "save_dir")
    source, target = parsed.source.lower(), parsed.to.lower()
    folder, read = Path(parsed.save_dir), ["--from", source, *_read(parsed, source)]
    if target == "mscoco":
        pictures = ["--images", "copy", "--images-to", str(folder / _PICTURES)]
        return ["convert", *read, "--to", "coco", str(folder / "annotations.json"), *pictures,
                *_force(parsed)]  # fmt: skip
    if target == "pascalvoc":
        return ["convert", *read, "--to", "voc", str(folder), *_force(parsed)]
    raise ValueError(
        f"{_CONVERT} --to {parsed.to}: that is for other tasks; Mask R-CNN trains on MSCOCO and PascalVOC, "
        "and on LabelMe folders as they are"
    )


def _read(parsed: argparse.Namespace, source: str) -> list[str]:
    """Where the labelled pictures are."""
    pictures, annotations = Path(parsed.pics), Path(parsed.annotations)
    if source == "labelme":
        return [str(annotations), "--image-dir", str(pictures)]
    if source == "easydata" and pictures.absolute().parent == annotations.absolute().parent:
        return [str(pictures if pictures == annotations else pictures.parent)]
    reasons = {
        "easydata": "--pics and --annotations have to be in one folder",
        "jingling": "the tool no longer exists; export COCO or LabelMe from another one",
    }
    reason = reasons.get(source, "PaddleX's sources were labelme, jingling and easydata")
    raise ValueError(f"{_CONVERT} --source {parsed.source}: {reason}")


def _export(parsed: argparse.Namespace) -> list[str]:
    form = _EXPORT if parsed.export_inference else "--export_onnx"
    _needed(parsed, form, "model_dir", "save_dir")
    command = ["export", parsed.model_dir, "--to", "folder", "--output", parsed.save_dir]
    if parsed.fixed_input_shape is None:
        return command
    sides = re.fullmatch(r"\s*\[?\s*(\d+)\s*,\s*(\d+)\s*\]?\s*", parsed.fixed_input_shape)
    if not sides:
        raise ValueError(
            f"--fixed_input_shape is {parsed.fixed_input_shape!r}; needed: [width,height]"
        )
    return [*command, "--fixed-input-shape", sides[1], sides[2]]


def _force(parsed: argparse.Namespace) -> list[str]:
    return ["--force"] if parsed.force else []
