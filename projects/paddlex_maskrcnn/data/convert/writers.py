"""Data sets written as COCO, EasyData, LabelMe, YOLO and Pascal VOC.

COCO json has words for everything. EasyData is a json an image with run-length masks, and PaddleX's
lists. LabelMe is a json beside each picture: polygons stay polygons, several of one object joined by
`group_id`; masks with holes or run lengths are `mask` shapes, which have every pixel. YOLO has one outline
an object, in fractions of the upright image: holes and parts go along bridges of no width, which do not
show when the outline is drawn; where polygons overlap, or an outline would not have the object's pixels,
its pixels are traced instead. Pascal VOC is an xml and index pictures for each image, in the layout that
PaddleX reads. Objects that others cover lose pixels in one index picture; the whole of each such object
goes into further ones (see `datasets.index_masks`). More than 254 objects make the picture 16 bits deep.
An object too thin for a pixel has its outline in the xml.

Writers of folders take an empty folder, a file name for each image id, 'copy' or 'symlink' for the images and
the name of the part of the set that this is, and return what the format has no words for and how often it
was there.
"""

import base64
import io
import json
import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from ...progress import shown
from ..datasets.annotations import ImageFrame, as_rle
from ..datasets.base import DetectionDataset
from ..datasets.index_masks import voc_palette
from ..datasets.labelme_shapes import has_holes
from ..datasets.records import Record
from ..datasets.voc import MASK_FOLDER
from ..masks import as_text, bridged, clip_polygon, polygons_of_rle
from .images import put, upright

Names = Mapping[int, str]  # image id -> file name

_LABELME_VERSION = "5.4.1"  # whose files have mask shapes
_YOLO_DIGITS = 12
_MOST_OF_8_BITS = 254  # 255 is void


def written(dataset: DetectionDataset) -> Iterator[Record]:
    """The records of a data set, while the screen shows how many are written."""
    return shown(dataset.records, dataset.num_samples, "writing")


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a text file of lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def as_coco(dataset: DetectionDataset, names: Names) -> dict[str, Any]:
    """The content of a COCO json: a data set's ids, classes, boxes and masks as they are.

    Args:
        names: image id -> file_name.
    """
    ids = dataset.category_ids
    images, annotations = [], []
    for record in dataset.records:
        if record.get("as_stored"):  # its size alone would not say so
            record = upright(record)
        images.append(
            {
                "id": record["image_id"],
                "file_name": names[record["image_id"]],
                "height": record["height"],
                "width": record["width"],
            }
        )
        annotations += [
            _coco_annotation(annotation, record["image_id"], ids)
            for annotation in record["annotations"]
        ]
    return {
        "info": {"description": f"converted from {dataset.name}"},
        "images": images,
        "annotations": annotations,
        "categories": dataset.categories,
    }


def common_folder(dataset: DetectionDataset) -> str:
    """The folder that has all pictures of a data set in it."""
    return os.path.commonpath([os.path.dirname(record["file_name"]) for record in dataset.records])


def _coco_annotation(
    annotation: dict[str, Any], image_id: int, category_ids: list[int]
) -> dict[str, Any]:
    same = ("bbox", "area", "iscrowd", "segmentation")
    ids = {
        "id": annotation["id"],
        "image_id": image_id,
        "category_id": category_ids[annotation["category_id"]],
    }
    ignore = {"ignore": 1} if annotation.get("ignore") else {}
    return {**ids, **{key: annotation[key] for key in same}, **ignore}


def _is_lost(annotation: dict[str, Any], lost: Counter[str]) -> bool:
    """Whether a format without marks has to leave an annotation out; what it loses is counted."""
    if annotation["iscrowd"]:
        lost["crowd regions left out: here they would be objects"] += 1
        return True
    if annotation.get("ignore"):
        lost["objects to be ignored in evaluation, here objects like others"] += 1
    return False


def write_easydata(
    dataset: DetectionDataset, folder: Path, names: Names, images: str, split: str
) -> Counter[str]:
    """Write JPEGImages, Annotations, SPLIT_list.txt and labels.txt."""
    lost: Counter[str] = Counter()
    (folder / "Annotations").mkdir(parents=True)
    lines = []
    for record in map(upright, written(dataset)):
        name = names[record["image_id"]]
        put(record["file_name"], folder / "JPEGImages" / name, images)
        frame = ImageFrame(record["height"], record["width"])
        entries = [
            _easydata_entry(annotation, dataset.labels, frame)
            for annotation in record["annotations"]
            if not _is_lost(annotation, lost)
        ]
        path = folder / "Annotations" / f"{Path(name).stem}.json"
        path.write_text(json.dumps({"labels": entries}, ensure_ascii=False), encoding="utf-8")
        lines.append(f"JPEGImages/{name}\t{path.relative_to(folder).as_posix()}")
    write_lines(folder / f"{split}_list.txt", lines)
    write_lines(folder / "labels.txt", dataset.labels)
    return lost


def _easydata_entry(
    annotation: dict[str, Any], labels: list[str], frame: ImageFrame
) -> dict[str, Any]:
    x, y, width, height = annotation["bbox"]
    corners = {"x1": x, "y1": y, "x2": x + width - 1, "y2": y + height - 1}  # the last pixel
    mask = as_text(as_rle(annotation["segmentation"], frame))["counts"]
    return {"name": labels[annotation["category_id"]], **corners, "mask": mask}


def write_labelme(
    dataset: DetectionDataset, folder: Path, names: Names, images: str, split: str
) -> Counter[str]:
    """Write a picture and a json for each image, and the classes in labels.txt."""
    for record in map(upright, written(dataset)):
        name = names[record["image_id"]]
        put(record["file_name"], folder / name, images)
        frame = ImageFrame(record["height"], record["width"])
        shapes: list[dict[str, Any]] = []
        for number, annotation in enumerate(record["annotations"], 1):
            label = dataset.labels[annotation["category_id"]]
            shapes += _labelme_shapes(annotation, label, number, frame)
        content: dict[str, Any] = {
            "version": _LABELME_VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": name,
            "imageData": None,
            "imageHeight": frame.height,
            "imageWidth": frame.width,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).with_suffix(".json").write_text(text, encoding="utf-8")
    write_lines(folder / "labels.txt", dataset.labels)
    return Counter()


def _labelme_shapes(
    annotation: dict[str, Any], label: str, number: int, frame: ImageFrame
) -> list[dict[str, Any]]:
    marks = {"iscrowd": annotation["iscrowd"], "difficult": annotation.get("ignore")}
    flags = {name: True for name, value in marks.items() if value}
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, dict) or has_holes(segmentation, frame):
        return [_labelme_shape(label, None, flags, **_labelme_mask(as_rle(segmentation, frame)))]
    group = number if len(segmentation) > 1 else None
    parts = [np.reshape(part, (-1, 2)).tolist() for part in segmentation]
    return [
        _labelme_shape(label, group, flags, shape_type="polygon", points=part) for part in parts
    ]


def _labelme_shape(
    label: str, group: int | None, flags: dict[str, bool], **form: Any
) -> dict[str, Any]:
    return {
        "label": label,
        "group_id": group,
        "description": "",
        "flags": flags,
        "mask": None,
        **form,
    }


def _labelme_mask(rle: dict[str, Any]) -> dict[str, Any]:
    """The pixels of the mask's box as a PNG, between the first and the last pixel."""
    x, y, width, height = (int(side) for side in mask_util.toBbox(rle))
    pixels = mask_util.decode(rle)[y : y + height, x : x + width] * np.uint8(255)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(file, "PNG")
    points = [[float(x), float(y)], [float(x + width - 1), float(y + height - 1)]]
    mask = base64.b64encode(file.getvalue()).decode("ascii")
    return {"shape_type": "mask", "points": points, "mask": mask}


def write_yolo(
    dataset: DetectionDataset, folder: Path, names: Names, images: str, split: str
) -> Counter[str]:
    """Write images/SPLIT and labels/SPLIT; `parts` writes the data.yaml."""
    lost: Counter[str] = Counter()
    (folder / "labels" / split).mkdir(parents=True)
    for record in map(upright, written(dataset)):
        name = names[record["image_id"]]
        put(record["file_name"], folder / "images" / split / name, images)
        frame = ImageFrame(record["height"], record["width"])
        lines = [
            _yolo_line(annotation, frame)
            for annotation in record["annotations"]
            if not _is_lost(annotation, lost)
        ]
        write_lines(folder / "labels" / split / Path(name).with_suffix(".txt"), lines)
    return lost


def _yolo_line(annotation: dict[str, Any], frame: ImageFrame) -> str:
    outline = _single_outline(annotation["segmentation"], frame)
    numbers = np.round(outline / (frame.width, frame.height), _YOLO_DIGITS).reshape(-1)
    return " ".join(
        [str(annotation["category_id"]), *(f"{number:.{_YOLO_DIGITS}g}" for number in numbers)]
    )


def _single_outline(segmentation: Any, frame: ImageFrame) -> np.ndarray:
    """(N, 2) x, y in pixels inside the image: a polygon that is drawn as this mask."""
    rle = as_rle(segmentation, frame)
    if isinstance(segmentation, list):
        parts = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in segmentation]
        parts = [clip_polygon(part, frame.height, frame.width) for part in parts]
        outline = bridged([part for part in parts if len(part) >= 3])
        drawn = mask_util.frPyObjects([outline.reshape(-1).tolist()], frame.height, frame.width)[0]
        if drawn["counts"] == rle["counts"] or not mask_util.area(rle):
            return outline
    return bridged(polygons_of_rle(rle))


def write_voc(
    dataset: DetectionDataset, folder: Path, names: Names, images: str, split: str
) -> Counter[str]:
    """Write JPEGImages, Annotations, SegmentationObject, SPLIT_list.txt and labels.txt.

    Args:
        folder: an empty folder.
        names: image id -> file name.
        images: 'copy' or 'symlink'.
        split: the part of the set that this is.

    Returns:
        what the format has no words for, which is nothing.
    """
    for part in ("Annotations", MASK_FOLDER):
        (folder / part).mkdir(parents=True)
    lines = []
    for record in map(upright, written(dataset)):
        name = names[record["image_id"]]
        stem = Path(name).stem
        put(record["file_name"], folder / "JPEGImages" / name, images)
        frame = ImageFrame(record["height"], record["width"])
        rles = [as_rle(annotation["segmentation"], frame) for annotation in record["annotations"]]
        _write_masks(rles, frame, folder / MASK_FOLDER, stem)
        tree = _xml(record, rles, name, dataset.labels)
        ET.indent(tree)
        path = folder / "Annotations" / f"{stem}.xml"
        ET.ElementTree(tree).write(path, encoding="utf-8", xml_declaration=True)
        lines.append(f"JPEGImages/{name}\tAnnotations/{stem}.xml")
    write_lines(folder / f"{split}_list.txt", lines)
    write_lines(folder / "labels.txt", dataset.labels)
    return Counter()


def _write_masks(rles: list[dict[str, Any]], frame: ImageFrame, folder: Path, stem: str) -> None:
    deep = len(rles) > _MOST_OF_8_BITS
    for k, layer in enumerate(_layers(rles, frame), 1):
        picture = Image.fromarray(layer if deep else layer.astype(np.uint8))
        if not deep:
            picture.putpalette(voc_palette().tobytes())
        picture.save(folder / (f"{stem}.png" if k == 1 else f"{stem}.{k}.png"))


def _layers(rles: list[dict[str, Any]], frame: ImageFrame) -> Iterator[np.ndarray]:
    """(H, W) uint16: all objects, later ones over earlier ones, then those that lost pixels."""
    masks = [_Patch(rle) for rle in rles]
    layer = np.zeros((frame.height, frame.width), np.uint16)
    for k, mask in enumerate(masks):
        mask.of(layer)[mask.pixels] = k + 1
    yield layer
    left = [k for k, mask in enumerate(masks) if (mask.of(layer)[mask.pixels] != k + 1).any()]
    while left:
        layer = np.zeros((frame.height, frame.width), np.uint16)
        covered = []
        for k in left:
            box = masks[k].of(layer)
            if box[masks[k].pixels].any():
                covered.append(k)
            else:
                box[masks[k].pixels] = k + 1
        yield layer
        left = covered


class _Patch:
    """A mask as the pixels of its box: hundreds of whole masks would not fit into memory."""

    def __init__(self, rle: dict[str, Any]) -> None:
        x, y, width, height = (int(side) for side in mask_util.toBbox(rle))
        self._box = slice(y, y + height), slice(x, x + width)
        self.pixels = mask_util.decode(rle)[self._box].astype(bool)

    def of(self, image: np.ndarray) -> np.ndarray:
        """The part of an image that the box covers."""
        return image[self._box]


def _xml(record: Record, rles: list[dict[str, Any]], name: str, labels: list[str]) -> ET.Element:
    root = ET.Element("annotation")
    _add(root, "filename", name)
    size = ET.SubElement(root, "size")
    for key, value in (("width", record["width"]), ("height", record["height"]), ("depth", 3)):
        _add(size, key, value)
    _add(root, "segmented", 1)
    for annotation, rle in zip(record["annotations"], rles, strict=True):
        node = ET.SubElement(root, "object")
        _add(node, "name", labels[annotation["category_id"]])
        _add(node, "difficult", annotation.get("ignore", 0))
        if annotation["iscrowd"]:
            _add(node, "iscrowd", 1)
        _add_box(node, annotation["bbox"])
        if not mask_util.area(rle):
            _add_outlines(node, annotation["segmentation"])
    return root


def _add_box(node: ET.Element, bbox: list[float]) -> None:
    """First and last pixel, counted from 1; fractions where the box has some."""
    x, y, width, height = bbox
    box = ET.SubElement(node, "bndbox")
    corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}
    for key, value in corners.items():
        _add(box, key, int(value) if value == int(value) else repr(value))


def _add_outlines(node: ET.Element, polygons: list[list[float]]) -> None:
    for polygon in polygons:
        outline = ET.SubElement(node, "polygon")
        for k, number in enumerate(polygon):
            _add(outline, f"{'xy'[k % 2]}{k // 2 + 1}", repr(number))


def _add(node: ET.Element, name: str, value: Any) -> None:
    ET.SubElement(node, name).text = str(value)
