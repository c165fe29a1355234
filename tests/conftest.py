"""Tiny drawn COCO data for every test that needs images."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# before anything imports torch: see cli.run, a busy machine would make the suite many times slower
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np
import pytest

BOLT, NUT = 7, 3  # category ids with gaps, listed against their order


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gpu need one."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


# files whose tests take longest: begun last, they would leave the other processes without work
LONGEST = (
    "test_processes.py",
    "test_two_processes.py",
    "test_gpu_check.py",
    "test_kill_and_resume.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


class TinyCoco:
    """Four pictures on black ground, each object in a colour of its own.

    1 landscape: two polygons, one of them in two parts. 2 portrait: a polygon and an RLE mask.
    3 landscape: a polygon and a crowd region. 4 square: nothing.

    Attributes:
        data_dir: folder of the pictures.
        ann_file: the json beside it.
        content: what the json says; change it and call `save`.
        colors: BGR of each object by annotation id.
    """

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "images"
        self.ann_file = folder / "instances.json"
        self.colors = {11: (0, 0, 250), 12: (0, 250, 0), 21: (250, 0, 0), 22: (0, 250, 250)}
        self.colors |= {31: (250, 250, 0), 32: (250, 250, 250)}
        self.content: dict[str, Any] = {
            "images": [_image(1, 64, 48), _image(2, 48, 64), _image(3, 64, 48), _image(4, 40, 40)],
            "categories": [{"id": BOLT, "name": "bolt"}, {"id": NUT, "name": "nut"}],
            "annotations": [
                _object(11, 1, BOLT, [[4, 4, 24, 4, 24, 30, 4, 30]]),
                _object(12, 1, NUT, [[30, 10, 44, 10, 44, 24], [48, 30, 60, 30, 60, 44, 48, 44]]),
                _object(21, 2, NUT, [[6, 6, 40, 6, 23, 30]]),
                _object(22, 2, BOLT, _box_rle(48, 64, (10, 36, 20, 24))),
                _object(31, 3, BOLT, [[2, 2, 20, 2, 20, 40, 2, 40]]),
                _object(32, 3, BOLT, _box_rle(64, 48, (30, 8, 30, 32)), iscrowd=1),
            ],
        }
        self.data_dir.mkdir(parents=True)
        self.draw()
        self.save()

    def draw(self) -> None:
        """Write the pictures."""
        for image in self.content["images"]:
            pixels = np.zeros((image["height"], image["width"], 3), np.uint8)
            for one in self.content["annotations"]:
                if one["image_id"] == image["id"]:
                    pixels[mask_of(one, image) > 0] = self.colors[one["id"]]
            cv2.imwrite(str(self.data_dir / image["file_name"]), pixels)

    def save(self) -> None:
        """Write the json."""
        self.ann_file.write_text(json.dumps(self.content))

    def annotation(self, number: int) -> dict[str, Any]:
        """The annotation with this id, to be changed in place."""
        return next(a for a in self.content["annotations"] if a["id"] == number)

    def image(self, number: int) -> dict[str, Any]:
        """The image entry with this id, to be changed in place."""
        return next(i for i in self.content["images"] if i["id"] == number)

    def open(self, **arguments: Any) -> Any:
        """The data as a CocoDetection."""
        from paddlex_maskrcnn.data.datasets import CocoDetection

        arguments = {"num_workers": 0, **arguments}
        return CocoDetection(str(self.data_dir), str(self.ann_file), **arguments)


@pytest.fixture
def tiny_coco(tmp_path: Path) -> TinyCoco:
    """A small COCO data set in a folder of its own."""
    return TinyCoco(tmp_path / "tiny_coco")


@pytest.fixture(scope="session")
def tiny_shapes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Makes DrawnShapes data sets of 12 images of 64 to 96 pixels, drawn once a session.

    Each number of images has a folder of its own: in a shared one, a set of another size would
    replace the pictures that other tests read.
    """
    from paddlex_maskrcnn.data.datasets import DrawnShapes

    root = tmp_path_factory.mktemp("tiny_shapes")

    def build(split: str = "train", num_images: int = 12, **arguments: Any) -> Any:
        arguments = {"image_size": [64, 96], "num_workers": 0, **arguments}
        folder = root / str(num_images)
        return DrawnShapes(folder, split, num_images=num_images, **copy.copy(arguments))

    return build


@pytest.fixture(scope="session")
def tiny_data(tiny_shapes: Callable[..., Any]) -> tuple[Any, Any]:
    """Training and held-out data of a run of seconds."""
    from support.tiny_training import EVAL, TRAIN

    train = tiny_shapes("train", transforms=TRAIN, shuffle=True)
    return train, tiny_shapes("val", num_images=4, transforms=EVAL)


@pytest.fixture(scope="session")
def tiny_run(
    tiny_data: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """A model that was trained for two epochs of six steps, and what its run has left."""
    from support.tiny_training import train

    save_dir = tmp_path_factory.mktemp("run")
    return train(tiny_data, save_dir), save_dir


def mask_of(annotation: dict[str, Any], image: dict[str, Any]) -> np.ndarray:
    """(H, W) uint8 mask of an annotation, by pycocotools."""
    import pycocotools.mask as mask_util

    size = image["height"], image["width"]
    return mask_util.decode(
        mask_util.merge(mask_util.frPyObjects(annotation["segmentation"], *size))
        if isinstance(annotation["segmentation"], list)
        else mask_util.frPyObjects(annotation["segmentation"], *size)
    )


def _image(number: int, width: int, height: int) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number}.png", "width": width, "height": height}


def _object(
    number: int, image: int, category: int, segmentation: Any, iscrowd: int = 0
) -> dict[str, Any]:
    one = {"id": number, "image_id": image, "category_id": category, "iscrowd": iscrowd}
    one["segmentation"] = segmentation
    if isinstance(segmentation, list):
        points = np.concatenate([np.reshape(part, (-1, 2)) for part in segmentation])
        low, high = points.min(axis=0), points.max(axis=0)
        one["bbox"] = [*low.tolist(), *(high - low).tolist()]
    else:
        one["bbox"] = _bounds(segmentation)
    one["area"] = float(one["bbox"][2] * one["bbox"][3])
    return one


def _box_rle(width: int, height: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    """Uncompressed RLE of a filled box [x, y, w, h]: runs down the columns, off first."""
    x, y, w, h = box
    mask = np.zeros((height, width), bool)
    mask[y : y + h, x : x + w] = True
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": [height, width], "counts": runs if not flat[0] else [0, *runs]}


def _bounds(rle: dict[str, Any]) -> list[float]:
    import pycocotools.mask as mask_util

    return mask_util.toBbox(mask_util.frPyObjects(rle, *rle["size"])).tolist()
