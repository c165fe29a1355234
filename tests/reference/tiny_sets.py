"""A tiny valid data set in every format: the same picture with the same two squares."""

import base64
import json

import numpy as np
import pycocotools.mask as mask_util
from PIL import Image

from paddlex_maskrcnn.data.datasets import (
    CocoDetection,
    EasyDataDet,
    LabelMeDetection,
    VOCDetection,
    YoloSegmentation,
)

WIDTH, HEIGHT = 30, 20
SQUARES = [("dog", (2, 3, 8)), ("cat", (15, 5, 10))]  # class, and x, y, side


def polygon(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def mask(x, y, side):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    pixels[y : y + side, x : x + side] = 1
    return pixels


def rle(*square):
    encoded = mask_util.encode(mask(*square))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


class Coco:
    files = ("instances.json",)

    def __init__(self, folder):
        categories = [{"id": k + 1, "name": name} for k, (name, _) in enumerate(SQUARES)]
        first, second = (square for _, square in SQUARES)
        objects = [(1, [polygon(*first)], first), (2, rle(*second), second)]
        annotations = [
            {"id": k, "image_id": 1, "category_id": k, "iscrowd": 0, "segmentation": segmentation,
             "bbox": [x, y, side, side], "area": side**2}
            for k, segmentation, (x, y, side) in objects
        ]  # fmt: skip
        image = {"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}
        content = {"images": [image], "annotations": annotations, "categories": categories}
        (folder / "instances.json").write_text(json.dumps(content))

    def open(self, folder, skip):
        return CocoDetection(folder, folder / "instances.json", skip_invalid=skip)


class LabelMe:
    files = ("a.json",)

    def __init__(self, folder):
        shapes = [
            {"label": name, "points": np.reshape(polygon(*square), (-1, 2)).tolist(), "group_id": None,
             "shape_type": "polygon", "flags": {}}
            for name, square in SQUARES
        ]  # fmt: skip
        x, y, side = SQUARES[1][1]
        Image.new("L", (side, side), 255).save(folder / "patch.png")
        patch = base64.b64encode((folder / "patch.png").read_bytes()).decode()
        (folder / "patch.png").unlink()
        corners = [[x, y], [x + side - 1, y + side - 1]]
        shapes[1] |= {"shape_type": "mask", "points": corners, "mask": patch}
        content = {"shapes": shapes, "imagePath": "a.png", "imageData": None}
        (folder / "a.json").write_text(
            json.dumps({**content, "imageHeight": HEIGHT, "imageWidth": WIDTH})
        )

    def open(self, folder, skip):
        return LabelMeDetection(folder, skip_invalid=skip)


class EasyData:
    files = ("b.json", "list.txt", "labels.txt")

    def __init__(self, folder):
        labels = [
            {"name": name, "x1": x, "y1": y, "x2": x + side - 1, "y2": y + side - 1,
             "mask": rle(x, y, side)["counts"]}
            for name, (x, y, side) in SQUARES
        ]  # fmt: skip
        (folder / "b.json").write_text(json.dumps({"labels": labels}))
        (folder / "list.txt").write_text("a.png b.json\n")
        (folder / "labels.txt").write_text("cat\ndog\n")

    def open(self, folder, skip):
        lists = folder / "list.txt", folder / "labels.txt"
        return EasyDataDet(folder, *lists, skip_invalid=skip)


class Voc:
    files = ("a.xml", "list.txt", "labels.txt", "SegmentationObject/a.png")

    def __init__(self, folder):
        text = f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        indices = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, (name, (x, y, side)) in enumerate(SQUARES, 1):
            indices[y : y + side, x : x + side] = k
            text += (
                f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin>"
            )
            text += f"<ymin>{y + 1}</ymin><xmax>{x + side}</xmax><ymax>{y + side}</ymax></bndbox></object>"
        (folder / "a.xml").write_text(text + "</annotation>")
        (folder / "SegmentationObject").mkdir()
        Image.fromarray(indices).save(folder / "SegmentationObject" / "a.png")
        (folder / "list.txt").write_text("a.png a.xml\n")
        (folder / "labels.txt").write_text("cat\ndog\n")

    def open(self, folder, skip):
        lists = folder / "list.txt", folder / "labels.txt"
        return VOCDetection(folder, *lists, skip_invalid=skip)


class Yolo:
    files = ("a.txt", "data.yaml")

    def __init__(self, folder):
        lines = [
            f"{k} "
            + " ".join(f"{v / (WIDTH, HEIGHT)[n % 2]}" for n, v in enumerate(polygon(*square)))
            for k, (_, square) in enumerate(SQUARES)
        ]
        (folder / "a.txt").write_text("\n".join(lines))
        (folder / "data.yaml").write_text("train: list.lst\nnames: [dog, cat]\n")
        (folder / "list.lst").write_text("./a.png\n")

    def open(self, folder, skip):
        return YoloSegmentation(folder / "data.yaml", skip_invalid=skip)


FORMATS = [Coco, LabelMe, EasyData, Voc, Yolo]


def draw(folder):
    """The picture that all of them are about."""
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
