import json

import pytest
from PIL import Image

from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.datasets import (
    CocoDetection,
    EasyDataDet,
    LabelMeDetection,
    VOCDetection,
    YoloSegmentation,
)

WIDTH, HEIGHT = 60, 40


class Written:
    """A COCO set that is written in another format and read again."""

    def __init__(self, folder):
        self.folder = folder
        self.content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}

    def add_image(self, name="a.png", orientation=1, size=(HEIGHT, WIDTH)):
        path = self.folder / "original" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[274] = orientation
        Image.new("RGB", (WIDTH, HEIGHT)).save(path, exif=exif)
        number = len(self.content["images"]) + 1
        entry = {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        self.content["images"].append(entry)
        return number

    def add(self, image, segmentation, bbox=None, **more):
        one = {"id": len(self.content["annotations"]) + 1, "image_id": image, "category_id": 1}
        self.content["annotations"].append(
            {**one, "segmentation": segmentation, "bbox": bbox, **more}
        )

    def open(self):
        path = self.folder / "original.json"
        path.write_text(json.dumps(self.content))
        return CocoDetection(self.folder / "original", path, num_workers=0)

    def read(self, form):
        out = self.folder / form
        convert(self.open(), form, out)
        lists = out / "train_list.txt", out / "labels.txt"
        return {
            "labelme": lambda: LabelMeDetection(out, lists[1]),
            "voc": lambda: VOCDetection(out, *lists),
            "easydata": lambda: EasyDataDet(out, *lists),
            "yolo": lambda: YoloSegmentation(out / "data.yaml"),
        }[form]()


@pytest.fixture
def written(tmp_path):
    return Written(tmp_path)
