"""The same few labelled pictures in every format: equal names in folders, spaces, rare classes."""

import json
from pathlib import Path

import pycocotools.mask as mask_util
from PIL import Image

from paddlex_maskrcnn.data import datasets

WIDTH, HEIGHT = 24, 16
# picture -> classes of its objects
PICTURES = {
    "x/1.png": ["dog"],
    "y/1.png": ["cat", "dog"],
    "y/a b.png": [],
    "é.png": ["bird", "ant"],
}
CLASSES = ["ant", "bird", "cat", "dog"]


def outline(k):
    """Corners of the k-th object of a picture."""
    left = 2 + 8 * k
    return [(left, 3), (left + 6, 3), (left + 6, 12), (left, 12)]


def write_pictures(folder, pictures=PICTURES, colour=(90, 90, 90)):
    for number, name in enumerate(pictures):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (number, *colour[1:])).save(folder / name)


def _text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def coco_content(pictures=PICTURES, classes=CLASSES, prefix=""):
    images, annotations = [], []
    for k, (name, objects) in enumerate(pictures.items(), 5):
        images.append({"id": k, "file_name": prefix + name, "height": HEIGHT, "width": WIDTH})
        for number, label in enumerate(objects):
            points = outline(number)
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": k, "category_id": 10 + classes.index(label),
                    "segmentation": [[value for point in points for value in point]],
                    "bbox": [*points[0], 6, 9], "area": 54, "iscrowd": 0,
                }
            )  # fmt: skip
    categories = [
        {"id": 10 + k, "name": name, "supercategory": "x"} for k, name in enumerate(classes)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder, pictures=PICTURES):
    write_pictures(folder, pictures)
    _text(folder / "instances.json", json.dumps(coco_content(pictures)))
    return lambda **more: datasets.CocoDetection(folder, folder / "instances.json", **more)


def voc_xml(objects, name=""):
    corners = "".join(
        "<object><name>{}</name><bndbox>{}</bndbox><polygon>{}</polygon></object>".format(
            label,
            f"<xmin>{3 + 8 * k}</xmin><ymin>4</ymin><xmax>{8 + 8 * k}</xmax><ymax>12</ymax>",
            "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(outline(k), 1)),
        )
        for k, label in enumerate(objects)
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    return f"<annotation><filename>{name}</filename>{size}{corners}</annotation>"


def write_voc(folder, pictures=PICTURES):
    """With lists and labels."""
    write_voc_pairs(folder, pictures)
    lines = [f"{name}\t{Path(name).with_suffix('.xml')}" for name in pictures]
    _text(folder / "train_list.txt", "\n".join(lines))
    _text(folder / "labels.txt", "\n".join(CLASSES))
    files = folder / "train_list.txt", folder / "labels.txt"
    return lambda **more: datasets.VOCDetection(folder, *files, **more)


def write_voc_pairs(folder, pictures=PICTURES):
    """An xml beside each picture, nothing else."""
    write_pictures(folder, pictures)
    for name, objects in pictures.items():
        _text((folder / name).with_suffix(".xml"), voc_xml(objects, Path(name).name))
    return lambda **more: datasets.VOCDetection(folder, **more)


def write_easydata(folder, pictures=PICTURES):
    """A json beside each picture, nothing else."""
    write_pictures(folder, pictures)
    for name, objects in pictures.items():
        labels = []
        for k, label in enumerate(objects):
            (left, top), _, (right, bottom), _ = outline(k)
            polygon = [value for point in outline(k) for value in point]
            counts = mask_util.frPyObjects([polygon], HEIGHT, WIDTH)[0]["counts"].decode()
            corners = {"x1": left, "y1": top, "x2": right - 1, "y2": bottom - 1}
            labels.append({"name": label, "mask": counts, **corners})
        _text((folder / name).with_suffix(".json"), json.dumps({"labels": labels}))
    return lambda **more: datasets.EasyDataDet(folder, **more)


def write_labelme(folder, pictures=PICTURES):
    write_pictures(folder, pictures)
    for name, objects in pictures.items():
        shapes = [
            {"label": label, "points": outline(k), "shape_type": "polygon"}
            for k, label in enumerate(objects)
        ]
        content = {"shapes": shapes, "imagePath": Path(name).name, "imageData": None}
        content |= {"imageHeight": HEIGHT, "imageWidth": WIDTH}
        _text((folder / name).with_suffix(".json"), json.dumps(content))
    return lambda **more: datasets.LabelMeDetection(folder, **more)


def yolo_lines(objects, classes=CLASSES):
    return "".join(
        f"{classes.index(label)} {' '.join(f'{x / WIDTH:.6f} {y / HEIGHT:.6f}' for x, y in outline(k))}\n"
        for k, label in enumerate(objects)
    )


def write_yolo(folder, pictures=PICTURES, images="images", labels="labels", yaml=True):
    write_pictures(folder / images, pictures)
    for name, objects in pictures.items():
        _text((folder / labels / name).with_suffix(".txt"), yolo_lines(objects))
    if yaml:
        _text(folder / "data.yaml", f"train: {images}\nnames: {CLASSES}\n")
    return lambda **more: datasets.YoloSegmentation(folder / ("data.yaml" if yaml else ""), **more)


def write_yolo_folder(folder, pictures=PICTURES):
    """A txt beside each picture and classes.txt, as LabelImg writes them."""
    open_set = write_yolo(folder, pictures, ".", ".", yaml=False)
    _text(folder / "classes.txt", "\n".join(CLASSES))
    return open_set


def write_cvat(folder, pictures=PICTURES):
    write_pictures(folder / "images", pictures)
    images = "".join(
        f'<image id="{k}" name="{name}" width="{WIDTH}" height="{HEIGHT}">'
        + "".join(
            f'<polygon label="{label}" points="{";".join(f"{x},{y}" for x, y in outline(n))}"/>'
            for n, label in enumerate(objects)
        )
        + "</image>"
        for k, (name, objects) in enumerate(pictures.items())
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    _text(folder / "annotations.xml", f"<annotations>{meta}{images}</annotations>")
    return lambda **more: datasets.CvatDetection(folder, folder / "annotations.xml", **more)


def write_label_studio(folder, pictures=PICTURES):
    write_pictures(folder, pictures)
    tasks = []
    for k, (name, objects) in enumerate(pictures.items(), 1):
        results = [
            {
                "id": f"r{n}", "type": "polygonlabels", "original_width": WIDTH, "original_height": HEIGHT,
                "value": {
                    "points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in outline(n)],
                    "polygonlabels": [label],
                },
            }
            for n, label in enumerate(objects)
        ]  # fmt: skip
        address = f"/data/local-files/?d=set/{name}"
        tasks.append({"id": k, "data": {"image": address}, "annotations": [{"result": results}]})
    _text(folder / "project.json", json.dumps(tasks))
    return lambda **more: datasets.LabelStudioDetection(folder, folder / "project.json", **more)


WRITERS = {
    "coco": write_coco,
    "voc": write_voc,
    "voc_pairs": write_voc_pairs,
    "easydata": write_easydata,
    "labelme": write_labelme,
    "yolo": write_yolo,
    "yolo_folder": write_yolo_folder,
    "cvat": write_cvat,
    "label_studio": write_label_studio,
}
