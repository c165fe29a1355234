"""Rows of the data sets: arguments of the data set classes and keys of YAML's `data.train` and `data.eval`."""

from dataclasses import dataclass

from .rows import REQUIRED, row


@dataclass(kw_only=True)
class CocoDetectionParams:
    """`type: CocoDetection`: a COCO json file and a folder of images."""

    data_dir: str = row(REQUIRED, "Folder that the file names of the annotations start from.")
    ann_file: str = row(REQUIRED, "COCO json file.")
    num_workers: int | str = row("auto", "Processes that load images; auto: half the cores, at most 8.", at_least=0)  # fmt: skip
    shuffle: bool = row(False, "New order in each epoch (training data is shuffled in YAML runs unless set to false).")  # fmt: skip
    skip_invalid: bool = row(False, "Leave out annotations that cannot be used and list them, instead of stopping.", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class DrawnShapesParams:
    """`type: DrawnShapes`: a small data set that draws itself on first use."""

    data_dir: str = row(REQUIRED, "Folder it is drawn into.")
    split: str = row("train", "Which part: the images of the parts differ.", values=("train", "val"))  # fmt: skip
    num_images: int | None = row(
        None, "Number of images; null: 160 for train, 40 otherwise.", at_least=1
    )
    image_size: int | list[int] = row([128, 192], "Shortest and longest side, pixels; one number for squares.", at_least=64)  # fmt: skip
    seed: int = row(0, "Seed of the drawing.", at_least=0)
    num_workers: int | str = row("auto", "Processes that load images; auto: half the cores, at most 8.", at_least=0)  # fmt: skip
    shuffle: bool = row(False, "New order in each epoch (training data is shuffled in YAML runs unless set to false).")  # fmt: skip


DATASETS: dict[str, type] = {"CocoDetection": CocoDetectionParams, "DrawnShapes": DrawnShapesParams}
