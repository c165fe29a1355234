"""Pascal VOC: an xml an image, and its objects' masks as one index picture.

Origin: PaddleX `VOCDetection`. Differences: masks are read from `SegmentationObject` (or from
`<polygon>` in the xml), so that it trains Mask R-CNN; images without objects are kept; what PaddleX
skipped (missing xml, unknown suffix) or died of (unknown class) is reported.

VOC numbers objects in the order of the xml. Where boxes say otherwise, objects and mask indices are
matched by the IoU of their boxes, and that is noted. Difficult objects train like others and count
neither for nor against in evaluation.
"""

from .annotations import RawObject, bounds_of
from .index_masks import IndexMask, read_index_mask
from .listed import ListedDetection, ListedFormat, ListedPicture, Parser, class_of
from .matching import match_by_box
from .problems import DatasetError, Kind
from .reading import BAD_ANNOTATION, Parsed
from .text_files import UnusableFileError
from .voc_xml import VocXml, read_voc_xml

MASK_FOLDER = "SegmentationObject"
BAD_MASK = Kind(
    "image whose masks cannot be read",
    f"{MASK_FOLDER}/NAME.png must number its objects (value k: object k of the xml); list only "
    "images that have one (VOC: ImageSets/Segmentation)",
)
LONELY_INDEX = Kind(
    "mask index without an object in the xml",
    "add the object to the xml, or erase its pixels",
    skippable=True,
)
REORDERED = "objects in another order than their mask indices, matched by their boxes"


def _check_there_are_masks(pictures: list[ListedPicture]) -> None:
    """Say it in one sentence when a set has boxes only, instead of once an image."""
    if any(picture.mask.is_file() for picture in pictures):
        return
    for picture in pictures:
        try:
            objects = read_voc_xml(picture.annotation).objects
        except UnusableFileError:
            return
        if any(one.polygons for one in objects):
            return
        if objects:
            raise DatasetError(
                f"VOCDetection: {picture.name} has boxes but no masks ({str(picture.mask)!r} is no "
                f"file), and Mask R-CNN learns from masks: put index pictures into {MASK_FOLDER}/ "
                f"(NAME.png, value k for object k of NAME.xml, 255 for void), or name them in a "
                f"third column of the list"
            )


def _parser(labels: list[str], pictures: list[ListedPicture]) -> Parser:
    _check_there_are_masks(pictures)
    classes = {name: k for k, name in enumerate(labels)}

    def parse(picture: ListedPicture) -> Parsed:
        try:
            xml = read_voc_xml(picture.annotation)
        except UnusableFileError as error:
            return Parsed(problems=[(BAD_ANNOTATION, f"{picture.name}: {error}")])
        parsed = Parsed(said=xml.size if xml.objects else None)
        masks = None
        if not all(one.polygons for one in xml.objects):
            try:
                masks = read_index_mask(picture.mask)
            except UnusableFileError as error:
                problem = f"{picture.where}: {picture.mask.name}: {error}"
                return Parsed(problems=[(BAD_MASK, problem)])
            parsed.said = masks.size
        objects = _objects(picture, xml, masks, classes, parsed)
        parsed.objects = lambda frame: objects
        return parsed

    return parse


def _objects(
    picture: ListedPicture,
    xml: VocXml,
    masks: IndexMask | None,
    classes: dict[str, int],
    parsed: Parsed,
) -> list[RawObject]:
    indices = _indices(picture, xml, masks, parsed) if masks else {}
    objects = []
    for k, one in enumerate(xml.objects):
        where = f"{picture.name} object {k + 1} ({one.name!r})"
        category = class_of(one.name, classes, where, parsed)
        if category is None:
            continue
        rle = masks.rles[indices[k]] if masks and k in indices else None
        objects.append(
            RawObject(
                where,
                category,
                one.polygons or rle,
                one.bbox,
                is_crowd=one.is_crowd,
                is_ignored=one.is_difficult,
            )
        )
    return objects


def _indices(
    picture: ListedPicture, xml: VocXml, masks: IndexMask, parsed: Parsed
) -> dict[int, int]:
    """Position of an object in the xml -> its index in the mask."""
    boxes = {index: bounds_of(rle) for index, rle in masks.rles.items()}
    matched = match_by_box(boxes, [one.bbox for one in xml.objects])
    for index in sorted(boxes.keys() - set(matched.values())):
        parsed.problems.append((LONELY_INDEX, f"{picture.mask.name} index {index}"))
    if any(index != k + 1 for k, index in matched.items()):
        parsed.repaired.append((REORDERED, picture.name))
    return matched


class VOCDetection(ListedDetection):
    """Images of a list, each with a VOC xml and an index picture of its objects."""

    metric = "VOC"
    format = ListedFormat(".xml", MASK_FOLDER, _parser)
