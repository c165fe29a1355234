"""The dataset classes, by the name that scripts and experiment files use."""

from .base import DetectionDataset
from .coco import CocoDetection
from .drawn import DrawnShapes
from .easydata import EasyDataDet
from .joined import DATASETS, Joined, join, open_dataset
from .labelme import LabelMeDetection
from .problems import DatasetError
from .voc import VOCDetection
from .yolo import YoloSegmentation

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
    "open_dataset",
]
