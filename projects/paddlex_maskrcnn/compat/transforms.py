"""`pdx.transforms`: the operators, and pictures of what each of them makes of a sample.

`visualize`. Origin: PaddleX 1.3 `paddlex.transforms.visualize`. Difference: PNG files instead of VisualDL's,
with the objects drawn; `paddlex-maskrcnn browse` draws what a whole experiment trains on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..data import transforms as det_transforms
from ..data.datasets.base import DetectionDataset
from ..data.mapper import TrainMapper
from ..data.transforms import Compose
from ..report.training_samples import write_samples

__all__ = ["det_transforms", "visualize"]


def __getattr__(name: str) -> Any:
    """`from paddlex import transforms as T; T.Compose(...)` of PaddleX 2 names the operators here."""
    return getattr(det_transforms, name)


def visualize(
    dataset: DetectionDataset,
    img_count: int = 3,
    save_dir: str | os.PathLike[str] = "vdl_output",
) -> list[Path]:
    """Draw the first images of a data set, as they are and after each of its operators.

    Args:
        dataset: with transforms. Normalize and Padding have no picture: the network carries them out.
        img_count: images.
        save_dir: gets `NNN_<image>_<step>_<operator>.png`, and `contact_sheet.png` with all of them.

    Returns:
        the files, the sheet last.

    Raises:
        ValueError: when the data set has no transforms, or img_count is below 1.
    """
    if dataset.transforms is None:
        raise ValueError("visualize: the data set has no transforms")
    if img_count < 1:
        raise ValueError(f"visualize: img_count is {img_count}; at least 1 is needed")
    normalize = dataset.transforms.normalize
    value_range = (min(normalize.min_val), max(normalize.max_val)) if normalize else (0.0, 255.0)
    samples = _steps(dataset, dataset.transforms, min(img_count, dataset.num_samples))
    return write_samples(samples, dataset.labels, Path(save_dir), value_range)


def _steps(dataset: DetectionDataset, transforms: Compose, count: int) -> Iterator[dict[str, Any]]:
    """Each sample after no operator, the first one, the first two, and so on."""
    normalize = transforms.normalize
    channels = len(normalize.mean) if normalize else 3
    mapper = TrainMapper(transforms, "BGR", channels, 0, labels=dataset.labels, reads_reduced=False)
    operators = mapper.operators
    for index in range(count):
        record = dataset.records[index]
        for step in range(len(operators) + 1):
            # the random numbers of the first operators are the same whatever follows
            mapper.operators = operators[:step]
            sample = mapper(record, 0, index, dataset.records)
            name = type(operators[step - 1]).__name__ if step else "original"
            yield {**sample, "file_name": f"{Path(record['file_name']).stem}_{step}_{name}"}
