"""The two choices of Mask R-CNN for which Detectron2 has no seam, as registries.

Everything else (backbones, proposal generators, heads, meta architectures) is registered in
Detectron2's own registries. Components register themselves when `paddlex_maskrcnn.modeling` is
imported.
"""

from __future__ import annotations

from typing import Any

from detectron2.utils.registry import Registry

ROI_SAMPLER = Registry("ROI_SAMPLER")
ROI_SAMPLER.__doc__ = """
Ways to choose the proposals of one image that the second stage is trained on.

Called as sampler(max_iou, labels, num_samples, positive_fraction, bg_label, generator) with

- max_iou (N,): best IoU of each proposal with any object, 0 without objects;
- labels (N,): class of each proposal in [0, K], K = bg_label = background, -1 = ignore;
- num_samples: how many proposals to choose at most;
- positive_fraction: largest share of num_samples that may be foreground;
- generator: what random numbers are drawn from, None for torch's global one.

Returns the indices of the chosen foreground and of the chosen background proposals.
"""

BOX_NMS = Registry("BOX_NMS")
BOX_NMS.__doc__ = """
Ways to drop overlapping detections of one image, each class on its own.

Called as nms(boxes, scores, classes, settings) with (N, 4) XYXY pixels, (N,), (N,) and an
`NMSSettings`; only candidates above the score threshold are passed. Returns the indices of the
kept boxes, best first and at most settings.top_k of them, and their scores, which may be lower
than those passed in.
"""


def choose(registry: Registry, key: str, name: str) -> Any:
    """Component registered under a name.

    Raises:
        ValueError: nothing has that name; the message says the key and the names there are.
    """
    names = sorted(registered for registered, _ in registry)
    if name not in names:
        raise ValueError(f"{key} is {name!r}; choose one of {', '.join(names)}")
    return registry.get(name)
