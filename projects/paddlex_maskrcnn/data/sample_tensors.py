"""The tensors of a training sample, for copies of it in other memory.

What: an image, and of its objects the boxes, classes and crowd marks; polygons are arrays that stay.
Origin: torch's loaders pin tensors in plain containers only; objects come as Detectron2's `Instances`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from detectron2.structures import Boxes, Instances

Change = Callable[[torch.Tensor], torch.Tensor]


class PinnableBatch(list):
    """A list of samples that torch's loader can copy into pinned memory, from which a GPU copies."""

    def pin_memory(self) -> list[dict[str, Any]]:
        """The samples with their tensors in pinned memory."""
        return [with_tensors(sample, torch.Tensor.pin_memory) for sample in self]


def with_tensors(sample: dict[str, Any], change: Change) -> dict[str, Any]:
    """A sample whose tensors are what `change` makes of them; the sample itself stays as it is."""
    changed = {**sample, "image": change(sample["image"])}
    if "instances" in sample:
        changed["instances"] = _objects(sample["instances"], change)
    return changed


def _objects(objects: Instances, change: Change) -> Instances:
    changed = Instances(objects.image_size)
    for name, value in objects.get_fields().items():
        if isinstance(value, torch.Tensor):
            value = change(value)
        elif type(value) is Boxes:
            value = Boxes(change(value.tensor))
        changed.set(name, value)
    return changed
