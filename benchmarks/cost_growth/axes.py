"""What grows, and the points at which it is measured."""

from __future__ import annotations

from dataclasses import dataclass

STEP, OPEN, EVALUATE = "training step", "opening a data set", "evaluation"


@dataclass(frozen=True)
class Axis:
    """One thing that grows while the rest stays.

    Attributes:
        name: on the command line.
        work: what is measured: STEP, OPEN or EVALUATE.
        unit: of the values.
        values: ascending.
        quick: a few small ones, to see that everything runs.
    """

    name: str
    work: str
    unit: str
    values: tuple[int, ...]
    quick: tuple[int, ...]


AXES = (
    Axis("image", STEP, "pixels of the image", (65536, 262144, 589824, 1048576), (4096, 16384)),
    Axis("objects", STEP, "objects in the image", (1, 10, 100, 400), (1, 4)),
    Axis("classes", STEP, "classes", (2, 80, 1000), (2, 4)),
    Axis("proposals", STEP, "proposals before and after NMS", (500, 2000, 8000), (100, 200)),
    Axis("annotations", OPEN, "annotations", (10_000, 100_000, 1_000_000), (70, 140)),
    Axis("detections", EVALUATE, "detections, 40 an image", (2000, 8000, 32_000), (80, 160)),
    Axis("crowding", EVALUATE, "detections an image, 100 images", (20, 80, 320), (5, 10)),
)
BY_NAME = {axis.name: axis for axis in AXES}


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        value: of the axis.
        seconds: CPU seconds of all threads, median of the repeats.
        mib: peak memory above what the imports take.
    """

    value: int
    seconds: float
    mib: float
