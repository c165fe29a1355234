"""Parameters of the data sets: arguments of the data set classes and keys of YAML's `data.train` and `data.eval`.

The rows before the first `extra=True` of a class of PaddleX's are its arguments, in its order, so that its
scripts may give them by position. `python_only` are those that make no sense in a file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .params import REQUIRED, param

_DATA_DIR = "Folder that the file names of the annotations start from."
_LABELS = "File with a class name a line, or a list of names."

# PaddleX's arguments that mean nothing here, and its defaults: another value is worth a note
WITHOUT_EFFECT = {"buffer_size": 100, "parallel_method": "process"}


def _transforms() -> Any:
    return param(None, "Compose of the operators to apply; in YAML: section data.transforms.", python_only=True)  # fmt: skip


def _num_workers() -> Any:
    return param("auto", "Processes that load images; auto: half the cores, at most 8.", at_least=0)


def _buffer_size() -> Any:
    return param(WITHOUT_EFFECT["buffer_size"], "Accepted for PaddleX scripts; has no effect.", python_only=True)  # fmt: skip


def _parallel_method() -> Any:
    return param(WITHOUT_EFFECT["parallel_method"], "Accepted for PaddleX scripts; has no effect.", python_only=True)  # fmt: skip


def _shuffle() -> Any:
    return param(False, "New order in each epoch (training data is shuffled in YAML runs unless set to false).")  # fmt: skip


def _skip_invalid() -> Any:
    return param(False, "Leave out annotations that cannot be used and list them, instead of stopping.", extra=True)  # fmt: skip


def _occurring_labels() -> Any:
    return param(None, _LABELS[:-1] + "; null: all that occur, in the order of their names.")


def _image_list() -> Any:
    return param(None, "Text file with one image per line: only these images are used. Paths are relative to data_dir (YOLO: to the folder of data.yaml); classes, ids and order stay those of all images.", extra=True)  # fmt: skip


def _exif() -> Any:
    return param("auto", "On which pixels of photographs with an EXIF orientation annotations were drawn.", values={"auto": "as their size says", "stored": "as stored, EXIF left alone", "upright": "as shown, also where they say the stored size (Label Studio)"}, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class CocoDetectionParams:
    """`type: CocoDetection`: a COCO json file and a folder of images."""

    data_dir: str = param(REQUIRED, _DATA_DIR)
    ann_file: str = param(REQUIRED, "COCO json file.")
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    buffer_size: Any = _buffer_size()
    parallel_method: Any = _parallel_method()
    shuffle: bool = _shuffle()
    skip_invalid: bool = _skip_invalid()
    exif: str = _exif()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class VOCDetectionParams:
    """`type: VOCDetection`: Pascal VOC xml files, masks in `SegmentationObject`."""

    data_dir: str = param(REQUIRED, _DATA_DIR)
    file_list: str | None = param(None, "List of lines `image xml` (or `image xml mask`, or names alone as in ImageSets); null: all xml files below data_dir.")  # fmt: skip
    label_list: str | list[str] | None = _occurring_labels()
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    buffer_size: Any = _buffer_size()
    parallel_method: Any = _parallel_method()
    shuffle: bool = _shuffle()
    skip_invalid: bool = _skip_invalid()
    exif: str = _exif()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class EasyDataDetParams:
    """`type: EasyDataDet`: json files of EasyData, run-length masks in them."""

    data_dir: str = param(REQUIRED, _DATA_DIR)
    file_list: str | None = param(None, "List of lines `image json`; null: all json files below data_dir.")  # fmt: skip
    label_list: str | list[str] | None = _occurring_labels()
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    buffer_size: Any = _buffer_size()
    parallel_method: Any = _parallel_method()
    shuffle: bool = _shuffle()
    skip_invalid: bool = _skip_invalid()
    exif: str = _exif()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class LabelMeDetectionParams:
    """`type: LabelMeDetection`: a folder of LabelMe json files."""

    data_dir: str = param(REQUIRED, "Folder of the json files, those in folders below it included.")
    label_list: str | list[str] | None = _occurring_labels()
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    shuffle: bool = _shuffle()
    image_dir: str | None = param(None, "Folder of the images where they are not where the json files say.", extra=True)  # fmt: skip
    skip_invalid: bool = _skip_invalid()
    exif: str = _exif()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class YoloSegmentationParams:
    """`type: YoloSegmentation`: one part of a YOLO segmentation set."""

    data_yaml: str = param(REQUIRED, "The set's data.yaml; or a folder without one: pictures with label files beside them or in `labels`, parts by names of folders.")  # fmt: skip
    split: str = param("train", "Which of its parts.")
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    shuffle: bool = _shuffle()
    skip_invalid: bool = _skip_invalid()
    exif: str = _exif()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class CvatDetectionParams:
    """`type: CvatDetection`: an xml of CVAT, "CVAT for images 1.1"."""

    data_dir: str = param(REQUIRED, _DATA_DIR)
    ann_file: str = param(REQUIRED, "The xml (annotations.xml).")
    label_list: str | list[str] | None = param(None, _LABELS[:-1] + "; null: the task's labels, in their order.")  # fmt: skip
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    shuffle: bool = _shuffle()
    skip_invalid: bool = _skip_invalid()
    exif: str = _exif()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class LabelStudioDetectionParams:
    """`type: LabelStudioDetection`: a JSON export of Label Studio."""

    data_dir: str = param(REQUIRED, "Folder of the images, those in folders below it included.")
    ann_file: str = param(REQUIRED, "The json (JSON or JSON-MIN).")
    label_list: str | list[str] | None = _occurring_labels()
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    shuffle: bool = _shuffle()
    skip_invalid: bool = _skip_invalid()
    image_list: str | None = _image_list()


@dataclass(kw_only=True)
class JoinedParams:
    """`type: Joined`: several data sets as one, classes joined by name; a list of data sets instead of one means the same."""

    parts: list[Any] = param(REQUIRED, "Data sets: `type` and its arguments each, in Python data sets too.", nonempty=True)  # fmt: skip
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    shuffle: bool = _shuffle()
    labels: list[str] | None = param(None, "The classes and their order; null: those of the first part, then the new ones of the next.", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class DrawnShapesParams:
    """`type: DrawnShapes`: a small data set that draws itself on first use."""

    data_dir: str = param(REQUIRED, "Folder it is drawn into.")
    split: str = param("train", "Which part, train or val or another plain name: the images of the parts differ.")  # fmt: skip
    num_images: int | None = param(
        None, "Number of images; null: 160 for train, 40 otherwise.", at_least=1
    )
    image_size: int | list[int] = param([128, 192], "Shortest and longest side, pixels; one number for squares.", at_least=64, entries=("shortest", "longest"), ordered=True)  # fmt: skip
    seed: int = param(0, "Seed of the drawing.", at_least=0)
    transforms: Any = _transforms()
    num_workers: int | str = _num_workers()
    shuffle: bool = _shuffle()

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        if not re.fullmatch(r"[\w-]+", self.split):  # it names a folder
            yield "split", f"is {self.split[:100]!r}; allowed: a plain name"


DATASETS: dict[str, type] = {
    "CocoDetection": CocoDetectionParams,
    "VOCDetection": VOCDetectionParams,
    "EasyDataDet": EasyDataDetParams,
    "LabelMeDetection": LabelMeDetectionParams,
    "YoloSegmentation": YoloSegmentationParams,
    "CvatDetection": CvatDetectionParams,
    "LabelStudioDetection": LabelStudioDetectionParams,
    "Joined": JoinedParams,
    "DrawnShapes": DrawnShapesParams,
}
JOINED = "Joined"


@dataclass(kw_only=True)
class DatasetChoice:
    """A data set: its class (a key of DATASETS) and that class's arguments."""

    type: str
    arguments: Any
