"""A picture whose objects are painted in colours of their own, so that pixels tell where they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import pytest
from detectron2.structures import BoxMode

from paddlex_maskrcnn.data.transforms.operator import ImageContext
from paddlex_maskrcnn.data.transforms.sample import Sample

HEIGHT, WIDTH = 60, 80
SHAPES = [
    [[12.0, 6.0, 46.0, 6.0, 46.0, 14.0, 22.0, 14.0, 22.0, 34.0, 12.0, 34.0]],  # concave
    [[30.0, 20.0, 44.0, 20.0, 37.0, 33.0], [50.0, 38.0, 66.0, 38.0, 66.0, 50.0, 50.0, 50.0]],
    [[60.0, 4.0, 80.0, 4.0, 80.0, 26.0, 70.0, 30.0]],  # at the border
]
CROWD = [4, 40, 30, 16]  # x, y, width, height


@pytest.fixture
def annotations() -> Callable[..., list[dict[str, Any]]]:
    """Makes the annotations, masks as 'polygon' or 'rle', the last one a crowd region."""

    def make(form: str = "polygon", crowd: bool = True) -> list[dict[str, Any]]:
        found = []
        for k, shape in enumerate(SHAPES):
            points = np.concatenate([np.reshape(part, (-1, 2)) for part in shape])
            low, high = points.min(axis=0), points.max(axis=0)
            found.append(_annotation(k, [*low, *(high - low)], _mask(shape, form)))
        x, y, w, h = CROWD
        corners = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        region = _annotation(0, CROWD, _mask(corners, form), iscrowd=1)
        return [*found, region] if crowd else found

    return make


@pytest.fixture
def sample(annotations: Callable[..., list[dict[str, Any]]]) -> Callable[..., Sample]:
    """Makes a sample of three channels, channel k white where object k is."""

    def make(
        form: str = "polygon", crowd: bool = True, image: np.ndarray | None = None, **context: Any
    ) -> Sample:
        if image is None:
            image = np.stack([255 * _raster(shape) for shape in SHAPES], axis=2)
        context = {"num_channels": image.shape[2], "mean": (0.0,) * image.shape[2], **context}
        return Sample(image, ImageContext(**context), annotations(form, crowd))

    return make


def _annotation(category: int, box: Any, mask: Any, iscrowd: int = 0) -> dict[str, Any]:
    return {
        "bbox": [float(value) for value in box],
        "bbox_mode": BoxMode.XYWH_ABS,
        "segmentation": mask,
        "category_id": category,
        "iscrowd": iscrowd,
    }


def _raster(shape: list[list[float]]) -> np.ndarray:
    return mask_util.decode(mask_util.merge(mask_util.frPyObjects(shape, HEIGHT, WIDTH)))


def _mask(shape: list[list[float]], form: str) -> Any:
    return shape if form == "polygon" else mask_util.encode(np.asfortranarray(_raster(shape)))
