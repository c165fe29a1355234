"""The dataset classes, by the name that scripts and experiment files use."""

from .base import DetectionDataset
from .coco import CocoDetection
from .cvat import CvatDetection
from .drawn import DrawnShapes
from .easydata import EasyDataDet
from .joined import DATASETS, Joined, join, open_dataset
from .label_studio import LabelStudioDetection
from .labelme import LabelMeDetection
from .problems import DatasetError
from .voc import VOCDetection
from .yolo import YoloSegmentation

__all__ = [
    "DATASETS",
    "CocoDetection",
    "CvatDetection",
    "DatasetError",
    "DetectionDataset",
    "DrawnShapes",
    "EasyDataDet",
    "Joined",
    "LabelMeDetection",
    "LabelStudioDetection",
    "VOCDetection",
    "YoloSegmentation",
    "join",
    "open_dataset",
]
