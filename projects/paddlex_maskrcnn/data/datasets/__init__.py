"""The dataset classes, by the name that scripts and experiment files use."""

from .base import DetectionDataset
from .coco import CocoDetection
from .drawn import DrawnShapes
from .easydata import EasyDataDet
from .joined import Joined, join
from .labelme import LabelMeDetection
from .problems import DatasetError
from .voc import VOCDetection
from .yolo import YoloSegmentation

DATASETS: dict[str, type[DetectionDataset]] = {
    "CocoDetection": CocoDetection,
    "VOCDetection": VOCDetection,
    "EasyDataDet": EasyDataDet,
    "LabelMeDetection": LabelMeDetection,
    "YoloSegmentation": YoloSegmentation,
    "Joined": Joined,
    "DrawnShapes": DrawnShapes,
}

__all__ = [
    "DATASETS",
    "CocoDetection",
    "DatasetError",
    "DetectionDataset",
    "DrawnShapes",
    "EasyDataDet",
    "Joined",
    "LabelMeDetection",
    "VOCDetection",
    "YoloSegmentation",
    "join",
]
