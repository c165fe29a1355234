"""Names of PaddleX 1.3 that are not here: what each was, why not, and what to use instead."""

from __future__ import annotations

_OTHER_DETECTOR = (
    "PaddleX's {name} finds boxes without masks; this package has Mask R-CNN only, whose results include "
    "boxes: use det.MaskRCNN"
)
_OTHER_DATA = "PaddleX's data set for {what}; instance segmentation needs {needs}"

# dotted name below the package -> sentence
REFUSED = {
    "cls": (
        "PaddleX's image classification; this package has Mask R-CNN only. Train a classifier with timm or "
        "torchvision"
    ),
    "seg": (
        "PaddleX's semantic segmentation (a class for each pixel, without separate objects); this package "
        "has Mask R-CNN only. Use segmentation_models_pytorch, or det.MaskRCNN to tell objects apart"
    ),
    "slim": (
        "PaddleX's pruning and quantisation with PaddleSlim; PaddleX could not retrain a pruned MaskRCNN "
        "either. For speed use a smaller backbone, profile 'fast', or model.export_inference_model and "
        "an engine such as OpenVINO, whose own tools quantise ONNX files"
    ),
    "interpret": (
        "PaddleX's LIME and NormLIME explanations of classifiers; they do not apply to Mask R-CNN, whose "
        "masks already show what each decision is about. `paddlex-maskrcnn analyze` shows where a model fails"
    ),
    "converter": (
        "PaddleX's export to ONNX, which refused R-CNNs; use model.export_inference_model(save_dir) or "
        "`paddlex-maskrcnn export`"
    ),
    "tools": (
        "PaddleX's conversion and splitting of data sets; use `paddlex-maskrcnn convert` and "
        "`paddlex-maskrcnn split`, or PaddleX's forms --data_conversion and --split_dataset"
    ),
    **{
        f"det.{name}": _OTHER_DETECTOR.format(name=name)
        for name in ("FasterRCNN", "YOLOv3", "PPYOLO", "PPYOLOTiny", "PPYOLOv2")
    },
    "det.paste_objects": (
        "PaddleX's pasting of cut-out objects into a background, which wrote boxes without masks; use the "
        "operator transforms.CopyPaste, which pastes objects with their masks during training"
    ),
    "datasets.analysis.Seg": (
        "PaddleX's statistics of data for semantic segmentation; use pdx.datasets.analysis.Det(dataset) or "
        "`paddlex-maskrcnn check`"
    ),
    "datasets.ImageNet": _OTHER_DATA.format(
        what="classification", needs="masks: see pdx.datasets.CocoDetection"
    ),
    "datasets.EasyDataCls": _OTHER_DATA.format(
        what="classification", needs="masks: see pdx.datasets.EasyDataDet"
    ),
    "datasets.SegDataset": _OTHER_DATA.format(
        what="semantic segmentation", needs="objects: see pdx.datasets.VOCDetection"
    ),
    "datasets.EasyDataSeg": _OTHER_DATA.format(
        what="semantic segmentation", needs="objects: see pdx.datasets.EasyDataDet"
    ),
    "datasets.ChangeDetDataset": _OTHER_DATA.format(
        what="change detection", needs="objects: see pdx.datasets.CocoDetection"
    ),
}


def sentence_for(name: str) -> str | None:
    """Why `paddlex_maskrcnn.NAME` is not here; None for a name that PaddleX does not have either."""
    reason = REFUSED.get(name)
    return f"paddlex_maskrcnn.{name} is not available: {reason}" if reason else None
