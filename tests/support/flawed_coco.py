"""Two COCO parts with one of each flaw that `check` finds, drawn into a folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

CAT, DOG, RARE, VAL_ONLY, EMPTY = 1, 2, 3, 4, 5
NAMES = {CAT: "cat", DOG: "dog", RARE: "rare", VAL_ONLY: "val only", EMPTY: "empty"}
WIDTH, HEIGHT = 96, 72


class FlawedCoco:
    """Parts `train` and `val`; file names say what is wrong with them.

    Attributes:
        data_dir: folder of the pictures of both.
        files: part -> json.
    """

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "images"
        self.data_dir.mkdir(parents=True)
        self.files = {part: folder / f"{part}.json" for part in ("train", "val")}
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._draw_train()
        self._save("train")
        self._draw_val()
        self._save("val")

    def _draw_train(self) -> None:
        for k in range(4):
            self._add(f"plain{k}.png", pattern(k), [(CAT, box(10, 10, 40, 40))])
        self._add("copied.png", pattern(10), [(CAT, box(10, 10, 40, 40))])
        shutil.copy(self.data_dir / "copied.png", self.data_dir / "copy.png")
        self._list("copy.png", [])  # contradicts the original, and is an image without objects
        self._add("looks.png", pattern(11), [(DOG, box(10, 10, 40, 40))])
        brighter = np.clip(pattern(11).astype(int) + 12, 0, 255).astype(np.uint8)
        self._add("alike.png", brighter, [(DOG, box(10, 10, 40, 40))])
        self._add("leaks.png", pattern(12), [(DOG, box(30, 20, 50, 40))])
        self._add("leaks_nearly.png", pattern(13), [(DOG, box(30, 20, 50, 40))])
        twice = [(CAT, box(10, 10, 50, 40)), (CAT, box(10, 10, 50, 41))]
        self._add("double.png", pattern(14), twice)
        both = [(CAT, box(10, 10, 50, 40)), (DOG, box(10, 10, 51, 40))]
        self._add("two_classes.png", pattern(15), both)
        self._add("box_off.png", pattern(16), [(RARE, box(10, 10, 30, 30))])
        self._objects[-1]["bbox"] = [40, 30, 40, 40]
        self._add("tiny.png", pattern(17), [(CAT, box(20, 20, 23, 60))])
        self._add("hole.png", pattern(18), [(CAT, ring())])
        self._add("many.png", pattern(19), [(DOG, box(8 * k, 4, 8 * k + 6, 44)) for k in range(6)])
        deep = (pattern(20)[:, :, 0].astype(np.uint16)) * 200
        self._add("deep.png", deep, [(CAT, box(10, 10, 60, 60))])
        self._add("listed.png", pattern(21), [(CAT, box(10, 10, 40, 40))])
        self._list("listed.png", [(DOG, box(50, 10, 80, 40))])
        self._turned("turned.jpg", pattern(22))
        self._list("missing.png", [(CAT, box(10, 10, 40, 40))])
        self._add("no_mask.png", pattern(23), [(CAT, box(10, 10, 40, 40)), (CAT, None)])

    def _draw_val(self) -> None:
        shutil.copy(self.data_dir / "leaks.png", self.data_dir / "leaked.png")
        self._list("leaked.png", [(DOG, box(30, 20, 50, 40))])
        darker = np.clip(pattern(13).astype(int) - 10, 0, 255).astype(np.uint8)
        self._add("leaked_nearly.png", darker, [(DOG, box(30, 20, 50, 40))])
        self._list("plain0.png", [(CAT, box(10, 10, 40, 40))])  # the same file in both
        self._add("own.png", pattern(30), [(VAL_ONLY, box(10, 10, 40, 40))])

    def _add(self, name: str, pixels: np.ndarray, objects: list[tuple[int, Any]]) -> None:
        cv2.imwrite(str(self.data_dir / name), pixels)
        self._list(name, objects)

    def _turned(self, name: str, pixels: np.ndarray) -> None:
        exif = Image.Exif()
        exif[274] = 3  # upside down
        Image.fromarray(pixels).save(self.data_dir / name, exif=exif)
        self._list(name, [(CAT, box(10, 10, 40, 40))])

    def _list(self, name: str, objects: list[tuple[int, Any]]) -> None:
        number = len(self._images) + 1
        image = {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        self._images.append(image)
        for category, mask in objects:
            one = {"id": len(self._objects) + 1, "image_id": number, "category_id": category}
            self._objects.append({**one, "iscrowd": 0, "segmentation": mask})

    def _save(self, part: str) -> None:
        content = {
            "images": self._images,
            "annotations": self._objects,
            "categories": [{"id": k, "name": name} for k, name in NAMES.items()],
        }
        self.files[part].write_text(json.dumps(content))
        self._images, self._objects = [], []


def pattern(seed: int) -> np.ndarray:
    """(72, 96, 3) uint8: soft colour patches, unlike those of any other seed."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(40, 215, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    """A rectangle as a polygon."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def ring() -> dict[str, Any]:
    """A square with a hole, as an uncompressed RLE mask."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:50, 20:60] = True
    mask[20:40, 30:50] = False
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": runs}
