"""Data sets opened without stopping, so that every problem of every part is told at once."""

from collections.abc import Callable
from dataclasses import dataclass

from ..datasets.base import DetectionDataset
from ..datasets.problems import DatasetError, Problems, collect_problems


@dataclass
class Part:
    """A part of the data that was opened.

    Attributes:
        name: `train`, `eval`, or `data` when there is only one.
        dataset: what could be used of it; may hold no image at all.
        problems: what reading it complained about.
    """

    name: str
    dataset: DetectionDataset
    problems: list[Problems]


def open_part(name: str, build: Callable[[], DetectionDataset]) -> Part:
    """Build a data set and keep what is wrong with it beside it.

    Args:
        build: opens the data set.

    Raises:
        DatasetError: when nothing can be understood, as with a file that is no json.
    """
    with collect_problems() as problems:
        try:
            dataset = build()
        except DatasetError as error:
            reasons = [one.report() for one in problems if one.found]
            raise DatasetError("\n".join([*reasons, str(error)])) from error
    return Part(name, dataset, problems)
