"""The dataset classes, by the name that scripts and experiment files use."""

from .base import DetectionDataset
from .coco import CocoDetection
from .drawn import DrawnShapes
from .problems import DatasetError

DATASETS: dict[str, type[DetectionDataset]] = {
    "CocoDetection": CocoDetection,
    "DrawnShapes": DrawnShapes,
}

__all__ = ["DATASETS", "CocoDetection", "DatasetError", "DetectionDataset", "DrawnShapes"]
