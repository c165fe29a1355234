"""Tiny valid sets of two pictures in every format, and plain readers that share nothing with the package.

A plain reader takes a file as its format's documents say and gives, for each picture, each object's class,
pixels (drawn by pycocotools, or counted in the mask file) and whether it is a crowd. It knows no repairs and
no limits: what it cannot read it raises for.
"""

import base64
import io
import json
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path, PurePath

import numpy as np
import pycocotools.mask as mask_util
import yaml
from PIL import Image

from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.data.datasets import (
    CocoDetection,
    EasyDataDet,
    LabelMeDetection,
    VOCDetection,
    YoloSegmentation,
)

SIDE = 32
# picture -> objects: class, left, top, side
SCENES = {"a": [("dog", 2, 3, 8), ("cat", 15, 5, 10)], "b": [("dog", 9, 12, 14)]}


def _outline(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def _mask(x, y, side):
    pixels = np.zeros((SIDE, SIDE), np.uint8, order="F")
    pixels[y : y + side, x : x + side] = 1
    return pixels


def _counts(x, y, side):
    return mask_util.encode(_mask(x, y, side))["counts"].decode()


def _pixels_of_outlines(outlines, height=SIDE, width=SIDE):
    drawn = mask_util.frPyObjects(outlines, height, width)
    return int(mask_util.decode(mask_util.merge(drawn)).sum())


def _pixels_of_rle(counts, height=SIDE, width=SIDE):
    if isinstance(counts, list):
        rle = mask_util.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    else:
        rle = {"size": [height, width], "counts": counts}
    return int(mask_util.decode(rle).sum())


def _text(path):
    """Of whatever Unicode encoding, by its mark; Chinese otherwise."""
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return data.decode("utf-32")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if data[:1] == b"\0":
        return data.decode("utf-16-be")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gbk")


def _pictures(folder):
    for k, name in enumerate(SCENES):
        pixels = np.random.default_rng(k).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")


class Coco:
    files = ("instances.json",)

    def write(self, folder):
        names = ["dog", "cat"]
        images, annotations = [], []
        for number, (picture, objects) in enumerate(SCENES.items(), 1):
            images.append(
                {"id": number, "file_name": f"{picture}.png", "height": SIDE, "width": SIDE}
            )
            for name, *square in objects:
                segmentation = [_outline(*square)]
                if len(annotations) == 1:
                    segmentation = {"size": [SIDE, SIDE], "counts": _counts(*square)}
                x, y, side = square
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "iscrowd": 0,
                     "category_id": names.index(name) + 1, "segmentation": segmentation,
                     "bbox": [x, y, side, side], "area": side**2}
                )  # fmt: skip
        categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "instances.json").write_text(json.dumps(content))

    def open(self, folder, skip):
        return CocoDetection(folder, folder / "instances.json", skip_invalid=skip)

    def count(self, folder):
        content = json.loads(_text(folder / "instances.json"))
        names = {image["id"]: PurePath(image["file_name"]).stem for image in content["images"]}
        assert len(names) == len(content["images"])
        objects = {name: [] for name in names.values()}
        classes = {category["id"]: category["name"] for category in content["categories"]}
        for annotation in content["annotations"]:
            given = annotation["segmentation"]
            if isinstance(given, dict):
                pixels = _pixels_of_rle(given["counts"], *given["size"])
            else:
                pixels = _pixels_of_outlines(given)
            for key in ("image_id", "category_id"):
                assert not isinstance(annotation[key], bool), key
            crowd = annotation.get("iscrowd", 0)
            assert crowd in (0, 1)
            name = classes[annotation["category_id"]]
            objects[names[annotation["image_id"]]].append((name, pixels, bool(crowd)))
        return objects


class LabelMe:
    files = ("a.json", "b.json")

    def write(self, folder):
        for picture, objects in SCENES.items():
            shapes = [
                {"label": name, "points": np.reshape(_outline(*square), (-1, 2)).tolist(),
                 "group_id": None, "shape_type": "polygon", "flags": {}}
                for name, *square in objects
            ]  # fmt: skip
            if picture == "a":
                x, y, side = objects[1][1:]
                shapes[1] |= {
                    "shape_type": "mask",
                    "points": [[x, y], [x + side - 1, y + side - 1]],
                    "mask": _as_base64(np.full((side, side), 255, np.uint8)),
                }
            content = {"shapes": shapes, "imagePath": f"{picture}.png", "imageData": None}
            content |= {"imageHeight": SIDE, "imageWidth": SIDE}
            (folder / f"{picture}.json").write_text(json.dumps(content))

    def open(self, folder, skip):
        return LabelMeDetection(folder, skip_invalid=skip)

    def count(self, folder):
        objects = {}
        for file in sorted(folder.glob("*.[jJ][sS][oO][nN]")):
            content = json.loads(_text(file))
            parts = defaultdict(list)
            for number, shape in enumerate(content["shapes"]):
                group = shape.get("group_id")
                key = number if group is None else (shape["label"], repr(group))
                parts[key].append((shape["label"], _pixels_of_shape(shape)))
            name = PurePath(content["imagePath"].replace("\\", "/")).stem
            objects[name if (folder / f"{name}.png").is_file() else file.stem] = [
                (part[0][0], sum(pixels for _, pixels in part), False) for part in parts.values()
            ]
        return objects


def _as_base64(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _pixels_of_shape(shape):
    kind, points = shape.get("shape_type") or "polygon", shape["points"]
    if kind == "mask":
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))) > 0
        (left, top), whole = map(round, points[0]), np.zeros((SIDE, SIDE), bool)
        part = whole[top : top + mask.shape[0], left : left + mask.shape[1]]
        part |= mask[: part.shape[0], : part.shape[1]]
        return int(whole.sum())
    if kind == "rectangle":
        (x1, y1), (x2, y2) = points
        points = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
    elif kind != "polygon":
        raise ValueError(kind)
    return _pixels_of_outlines([[number for point in points for number in point]])


class EasyData:
    files = ("x.json", "y.json", "list.txt", "labels.txt")

    def write(self, folder):
        for file, objects in zip("xy", SCENES.values(), strict=True):
            labels = [
                {"name": name, "x1": x, "y1": y, "x2": x + side - 1, "y2": y + side - 1,
                 "mask": _counts(x, y, side)}
                for name, x, y, side in objects
            ]  # fmt: skip
            (folder / f"{file}.json").write_text(json.dumps({"labels": labels}))
        (folder / "list.txt").write_text("a.png x.json\nb.png y.json\n")
        (folder / "labels.txt").write_text("cat\ndog\n")

    def open(self, folder, skip):
        lists = folder / "list.txt", folder / "labels.txt"
        return EasyDataDet(folder, *lists, skip_invalid=skip)

    def count(self, folder):
        return {
            PurePath(picture).stem: [
                (label["name"], _pixels_of_rle(label["mask"]), False)
                for label in json.loads(_text(folder / file))["labels"]
            ]
            for picture, file in _pairs(folder / "list.txt")
        }


def _pairs(path):
    """The two columns of a list; a line of other words is not for a plain reader."""
    lines = _text(path).splitlines()
    return [line.split(" ") for line in lines if line.strip()]


class Voc:
    files = ("a.xml", "b.xml", "list.txt", "labels.txt", "SegmentationObject/a.png")

    def write(self, folder):
        (folder / "SegmentationObject").mkdir()
        for picture, objects in SCENES.items():
            text = f"<annotation><size><width>{SIDE}</width><height>{SIDE}</height></size>"
            indices = np.zeros((SIDE, SIDE), np.uint8)
            for k, (name, x, y, side) in enumerate(objects, 1):
                indices[y : y + side, x : x + side] = k
                corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + side, "ymax": y + side}
                box = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
                text += f"<object><name>{name}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
            (folder / f"{picture}.xml").write_text(text + "</annotation>")
            Image.fromarray(indices).save(folder / "SegmentationObject" / f"{picture}.png")
        (folder / "list.txt").write_text("a.png a.xml\nb.png b.xml\n")
        (folder / "labels.txt").write_text("cat\ndog\n")

    def open(self, folder, skip):
        lists = folder / "list.txt", folder / "labels.txt"
        return VOCDetection(folder, *lists, skip_invalid=skip)

    def count(self, folder):
        objects = {}
        for picture, file in _pairs(folder / "list.txt"):
            root = ElementTree.fromstring((folder / file).read_bytes())
            mask = folder / "SegmentationObject" / Path(picture).with_suffix(".png").name
            values, sizes = np.unique(np.asarray(Image.open(mask)), return_counts=True)
            pixels = [int(n) for v, n in zip(values, sizes, strict=True) if v not in (0, 255)]
            names = [node.findtext("name").strip() for node in root.findall("object")]
            objects[PurePath(picture).stem] = [
                (name, size, False) for name, size in zip(names, pixels, strict=True)
            ]
        return objects


class Yolo:
    files = ("labels/a.txt", "labels/b.txt", "data.yaml")

    def write(self, folder):
        (folder / "labels").mkdir()
        (folder / "images").mkdir()
        for picture, objects in SCENES.items():
            (folder / f"{picture}.png").rename(folder / "images" / f"{picture}.png")
            lines = [
                f"{['dog', 'cat'].index(name)} "
                + " ".join(str(value / SIDE) for value in _outline(*square))
                for name, *square in objects
            ]
            (folder / f"labels/{picture}.txt").write_text("\n".join(lines) + "\n")
        (folder / "data.yaml").write_text("train: images\nnc: 2\nnames: [dog, cat]\n")

    def open(self, folder, skip):
        return YoloSegmentation(folder / "data.yaml", skip_invalid=skip)

    def count(self, folder):
        names = yaml.safe_load(_text(folder / "data.yaml"))["names"]
        objects = {file.stem: [] for file in (folder / "images").iterdir()}
        for file in sorted((folder / "labels").glob("*.txt")):
            for line in _text(file).splitlines():
                if line.strip():
                    number, *outline = map(float, line.split())
                    pixels = _pixels_of_outlines([[value * SIDE for value in outline]])
                    name = str(names[int(number)])
                    objects.setdefault(file.stem, []).append((name, pixels, False))
        return objects


class ExperimentFile:
    """Not a data set: what is counted are its values."""

    files = ("experiment.yaml",)

    def write(self, folder):
        content = {
            "model": {"backbone": "ResNet18", "anchor_sizes": [8, 16, 32, 64, 128], "with_fpn": True},
            "data": {
                "train": {"type": "CocoDetection", "data_dir": "a", "ann_file": "b.json"},
                "eval": [{"type": "YoloSegmentation", "data_yaml": "data.yaml", "split": "val"}],
                "transforms": {
                    "train": [{"ResizeByShort": {"short_size": 32, "max_size": 64}}, "Normalize"]
                },
            },
            "train": {"num_epochs": 2, "learning_rate": 0.01, "lr_decay_epochs": [1], "save_dir": "x"},
        }  # fmt: skip
        (folder / "experiment.yaml").write_text(yaml.safe_dump(content))

    def open(self, folder, skip):
        return load_experiment(folder / "experiment.yaml").given

    def count(self, folder):
        return yaml.safe_load(_text(folder / "experiment.yaml")) or {}


FORMATS = [Coco, LabelMe, EasyData, Voc, Yolo, ExperimentFile]


def write(form, folder):
    """A fresh valid set in an empty folder."""
    _pictures(folder)
    form.write(folder)


def counted(opened):
    """What the package read, in the words of the plain readers."""
    if isinstance(opened, dict):
        return opened
    return {
        PurePath(record["file_name"]).stem: [
            (
                opened.labels[annotation["category_id"]],
                _pixels_of(annotation["segmentation"], record["height"], record["width"]),
                bool(annotation.get("iscrowd")),
            )
            for annotation in record["annotations"]
        ]
        for record in opened.records
    }


def _pixels_of(segmentation, height, width):
    if isinstance(segmentation, list):
        return _pixels_of_outlines(
            [np.ravel(part).tolist() for part in segmentation], height, width
        )
    return int(mask_util.decode(segmentation).sum())


def agree(read, expected):
    """Whether two counts are the same, but for what rounding does to the edge of a mask."""
    if "a" not in expected:  # an experiment
        return repr(read) == repr(expected)
    return read.keys() == expected.keys() and all(
        len(read[name]) == len(expected[name])
        and all(map(_same_object, sorted(read[name]), sorted(expected[name])))
        for name in expected
    )


def _same_object(read, expected):
    (name, pixels, is_crowd), (expected_name, size, expected_crowd) = read, expected
    return (name, is_crowd) == (expected_name, expected_crowd) and abs(pixels - size) <= 4 + max(
        pixels, size
    ) / 20
