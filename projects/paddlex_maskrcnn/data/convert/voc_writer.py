"""Pascal VOC: xml files and index pictures, in the layout that PaddleX reads.

Objects that others cover lose pixels in one index picture; the whole of each such object goes into
further ones (see `datasets.index_masks`). More than 254 objects make the picture 16 bits deep. An
object too thin for a pixel has its outline in the xml.
"""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from ..datasets.annotations import ImageFrame, as_rle
from ..datasets.base import DetectionDataset
from ..datasets.index_masks import voc_palette
from ..datasets.records import Record
from ..datasets.voc import MASK_FOLDER
from .images import names_for, put, upright
from .writers import write_lines

_MOST_OF_8_BITS = 254  # 255 is void


def write_voc(dataset: DetectionDataset, folder: Path, images: str, split: str) -> Counter[str]:
    """Write JPEGImages, Annotations, SegmentationObject, SPLIT_list.txt and labels.txt.

    Args:
        folder: an empty folder.
        images: 'copy' or 'symlink'.
        split: the part of the set that this is.

    Returns:
        what the format has no words for, which is nothing.
    """
    names = names_for(dataset.records)
    for part in ("Annotations", MASK_FOLDER):
        (folder / part).mkdir(parents=True)
    lines = []
    for record in map(upright, dataset.records):
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
