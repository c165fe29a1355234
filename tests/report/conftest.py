"""Annotations and results for pictures and pages."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.metrics.analysis import Analysis, analyse
from paddlex_maskrcnn.metrics.evaluation import compare

HEIGHT, WIDTH = 100, 140


def ellipse(box: Any) -> dict[str, Any]:
    x, y, w, h = box
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((columns + 0.5 - x - w / 2) * 2 / w) ** 2 + ((rows + 0.5 - y - h / 2) * 2 / h) ** 2
    encoded = coco_mask.encode(np.asfortranarray(inside <= 1, dtype=np.uint8))
    return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


@pytest.fixture
def plain() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO dict with crowd regions and a class without objects, and results."""
    random = np.random.default_rng(3)
    truth: dict[str, Any] = {
        "images": [
            {"id": 4 + 2 * i, "height": HEIGHT, "width": WIDTH, "file_name": f"{i}.png"}
            for i in range(10)
        ],
        "categories": [
            {"id": 5, "name": "nut <M8>", "supercategory": "steel"},
            {"id": 2, "name": "bolt", "supercategory": "steel"},
            {"id": 9, "name": "垫圈", "supercategory": "rubber"},
            {"id": 7, "name": "never", "supercategory": "rubber"},
        ],
        "annotations": [],
    }
    results = []
    for image in truth["images"][:-1]:
        for _ in range(4):
            w, h = random.integers(6, 90, 2).tolist()
            box = [int(random.integers(0, WIDTH - w)), int(random.integers(0, HEIGHT - h)), w, h]
            category = int(random.choice([5, 2, 9]))
            mask = ellipse(box)
            truth["annotations"].append(
                {"id": len(truth["annotations"]), "image_id": image["id"], "category_id": category,
                 "bbox": [float(v) for v in box], "area": float(coco_mask.area(mask)),
                 "iscrowd": int(random.random() < 0.1), "segmentation": mask}
            )  # fmt: skip
            for _ in range(random.integers(0, 3)):
                x = int(np.clip(box[0] + random.integers(-6, 7), 0, WIDTH - w))
                y = int(np.clip(box[1] + random.integers(-6, 7), 0, HEIGHT - h))
                taken = category if random.random() < 0.8 else int(random.choice([5, 2, 9]))
                results.append(
                    {"image_id": image["id"], "category_id": taken, "bbox": [float(x), float(y), w, h],
                     "segmentation": ellipse([x, y, w, h]), "score": float(random.random())}
                )  # fmt: skip
    return truth, results


@pytest.fixture
def details(plain: Any) -> dict[str, Any]:
    """The same in the documented form: maps of box regions."""
    truth, results = plain
    masks = []
    for one in results:
        x, y, w, h = (int(v) for v in one["bbox"])
        whole = coco_mask.decode(one["segmentation"])
        masks.append([one["image_id"], one["category_id"],
                      whole[y : y + h, x : x + w], one["score"]])  # fmt: skip
    boxes = [[one["image_id"], one["category_id"], one["bbox"], one["score"]] for one in results]
    return {"bbox": boxes, "mask": masks, "gt": truth}


@pytest.fixture
def metrics_rows() -> list[dict[str, Any]]:
    """Rows of a run's metrics.jsonl."""
    return [
        {"kind": "train", "epoch": 1, "step": 10, "loss": 2.0, "loss_cls": 1.0, "lr": 0.1},
        {"kind": "train", "epoch": 1, "step": 20, "loss": 1.5, "loss_cls": 0.7, "lr": 0.1},
        {
            "kind": "eval",
            "epoch": 1,
            "step": 20,
            "segm_mmap": 0.2,
            "bbox_mmap": None,
            "val_loss": 1.7,
        },
        {"kind": "train", "epoch": 2, "step": 40, "loss": 1.1, "loss_cls": 0.5, "lr": 0.01},
        {
            "kind": "eval",
            "epoch": 2,
            "step": 40,
            "segm_mmap": 0.35,
            "bbox_mmap": 0.3,
            "val_loss": 1.4,
        },
    ]


@pytest.fixture
def analyses(plain: Any) -> list[Analysis]:
    """Masks, then boxes."""
    return [analyse(compare(plain[0], plain[1], kind)) for kind in ("segm", "bbox")]


@pytest.fixture
def read_drawn() -> Callable[[int], np.ndarray]:
    """Image id -> noise."""
    random = np.random.default_rng(0)
    return lambda image_id: random.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
