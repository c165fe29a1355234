"""What a run of the benchmarks is asked to do, and the types of its arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddlex_maskrcnn.config.check import check_section
from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.config.yaml_io import parse_value

_COMMA = re.compile(r",(?![^\[]*\])")  # outside brackets
OURS, STOCK, TORCHVISION = "ours", "Detectron2", "torchvision"
LIKE_TORCHVISION = "ours as torchvision"  # with its anchors and its region pooling


@dataclass(frozen=True)
class Variant:
    """One more way to run ours.

    Attributes:
        name: in the table.
        model, train: rows of `MaskRCNN(...)` and `train(...)` that differ from the defaults.
    """

    name: str
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What every part needs to know.

    Attributes:
        device: cpu or cuda.
        threads: of torch, on the CPU.
        rounds: turns that count; one more before them warms up.
        size: short side of the images in the network, pixels; the long side is at most 1333 / 800
            of it.
        batch_size: images of a training step.
        regions: sampled an image in training, for the second stage.
        anchors: sampled an image in training, for the first stage.
        clock: wall or cpu, the seconds of all threads of this process.
        quick: tiny work, to see that everything runs.
        tf32: whether a GPU may round factors to 10 bits, for all contestants alike.
        amp: 16-bit rows beside the others: off, bf16 or fp16.
        variants: further ways to run ours.
    """

    device: str = "cpu"
    threads: int = 2
    rounds: int = 7
    size: int = 800
    batch_size: int = 2
    regions: int = 512
    anchors: int = 256
    clock: str = "wall"
    quick: bool = False
    tf32: bool = False
    amp: str = "off"
    variants: Sequence[Variant] = ()

    @property
    def proposals(self) -> int:
        """Of an image in prediction."""
        return 100 if self.quick else 1000

    @property
    def longest(self) -> int:
        """Limit of the long side, pixels."""
        return self.size * 1333 // 800


def read_variant(text: str) -> Variant:
    """A variant of the command line, `NAME:section.key=value,...`.

    Raises:
        ValueError: for a text that is not of this form, and for rows and values that do not exist.
    """
    name, _, changes = text.partition(":")
    parts: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
    for change in filter(None, _COMMA.split(changes)):
        key, equals, value = change.partition("=")
        section, dot, row = key.strip().partition(".")
        if not (equals and dot) or section not in parts:
            raise ValueError(
                f"--variant is {text!r}: {change!r} is not model.KEY=VALUE or train.KEY=VALUE, as in "
                "--variant bf16:train.amp=bf16"
            )
        parts[section][row] = parse_value(value)
    if not name or not any(parts.values()):
        raise ValueError(
            f"--variant is {text!r}; give NAME:train.KEY=VALUE or NAME:model.KEY=VALUE"
        )
    for section, kind in (("model", ModelParams), ("train", TrainParams)):
        _, problems = check_section(kind, parts[section], f"{section}.")
        for problem in problems:
            # rows that are not given are missing, as they should be
            if problem.key.partition(".")[2] in parts[section]:
                raise ValueError(f"--variant is {text!r}: {problem}")
    return Variant(name, **parts)


def at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `least` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"is {text!r}; a whole number from {least} on is needed"
            )
        return number

    return read


positive = at_least(1)


def output_file(text: str) -> Path:
    """A type for argparse: where a file can be written; its folder is made."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"is {text!r}, which is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"is {text!r}: {error.strerror}") from error
    return path
