"""Random annotations and results of every kind that an evaluator meets, as plain COCO data."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 150, 180
CATEGORIES = [7, 3, 20, 11]  # with gaps and out of order


def ellipse(box: Any, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    """Run-length mask of the ellipse in a box of whole pixels."""
    x, y, w, h = box
    rows, columns = np.mgrid[:height, :width]
    inside = ((columns + 0.5 - x - w / 2) * 2 / w) ** 2 + ((rows + 0.5 - y - h / 2) * 2 / h) ** 2
    encoded = coco_mask.encode(np.asfortranarray(inside <= 1, dtype=np.uint8))
    return {"size": [height, width], "counts": encoded["counts"].decode()}


class Scene:
    """Annotations and results to be added one by one.

    Attributes:
        truth: COCO dict.
        results: COCO result dicts.
    """

    def __init__(self, image_ids: Any = (1,), category_ids: Any = (1, 2, 3)) -> None:
        self.truth: dict[str, Any] = {
            "images": [
                {"id": one, "height": HEIGHT, "width": WIDTH, "file_name": f"{one}.png"}
                for one in image_ids
            ],
            "categories": [
                {"id": one, "name": f"class {one}", "supercategory": "odd" if one % 2 else "even"}
                for one in category_ids
            ],
            "annotations": [],
        }
        self.results: list[dict[str, Any]] = []

    def annotate(self, image: int, category: int, box: Any, crowd: bool = False) -> None:
        mask = ellipse(box)
        number = 13 * len(self.truth["annotations"])  # from 0 and with gaps
        self.truth["annotations"].append(
            {"id": number, "image_id": image, "category_id": category, "iscrowd": int(crowd),
             "bbox": [float(v) for v in box], "area": float(coco_mask.area(mask)),
             "segmentation": mask}
        )  # fmt: skip

    def detect(self, image: int, category: int, box: Any, score: float) -> None:
        self.results.append(
            {"image_id": image, "category_id": category, "bbox": [float(v) for v in box],
             "segmentation": ellipse(box), "score": float(score)}
        )  # fmt: skip


def random_scene(seed: int, num_images: int = 12, objects: int = 7, extra: int = 4) -> Scene:
    """Empty images, crowd regions, equal scores, a class without objects, all sizes of objects."""
    random = np.random.default_rng(seed)
    scene = Scene([5 + 3 * i for i in range(num_images)][::-1], CATEGORIES)

    def a_box(largest: int) -> list[int]:
        w, h = random.integers(8, largest, 2)
        return [
            int(random.integers(0, WIDTH - w)),
            int(random.integers(0, HEIGHT - h)),
            int(w),
            int(h),
        ]

    for image in [one["id"] for one in scene.truth["images"]]:
        if random.random() < 0.15:
            continue
        for _ in range(random.integers(1, objects + 1)):
            box, category = a_box(130), int(random.choice(CATEGORIES[:3]))
            scene.annotate(image, category, box, crowd=random.random() < 0.1)
            for _ in range(random.integers(0, 3)):
                moved = np.add(box, random.integers(-7, 8, 4))
                x, y = np.clip(moved[:2], 0, [WIDTH - 8, HEIGHT - 8])
                w, h = np.clip(moved[2:], 4, [WIDTH - x, HEIGHT - y])
                taken = category if random.random() < 0.8 else int(random.choice(CATEGORIES))
                scene.detect(
                    image, taken, [int(v) for v in (x, y, w, h)], round(random.random(), 1)
                )
    for image in random.choice([one["id"] for one in scene.truth["images"]], extra):
        scene.detect(
            int(image), int(random.choice(CATEGORIES)), a_box(60), round(random.random(), 2)
        )
    return scene


@pytest.fixture
def empty_scene() -> type[Scene]:
    """Makes scenes to which objects and detections are added."""
    return Scene


@pytest.fixture
def make_scene() -> Any:
    """`random_scene`."""
    return random_scene


@pytest.fixture(params=range(3), ids=lambda seed: f"scene{seed}")
def scene(request: pytest.FixtureRequest) -> Scene:
    """A random scene."""
    return random_scene(request.param)
