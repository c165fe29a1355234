"""Pretrained weights by name: one row for each backbone and kind.

Addresses, the hash prefix in the file name and the published accuracy are torchvision's own metadata
(`torchvision.models.*_Weights`), so that nothing is repeated here that could go stale.
"""

from __future__ import annotations

from dataclasses import dataclass

from .input_format import IMAGENET_RGB, InputFormat


@dataclass(frozen=True)
class CatalogueEntry:
    """A weight file that can be had by name.

    Attributes:
        url: where it is published; the file name ends in a prefix of its sha256.
        top1: published ImageNet accuracy, percent.
        licence: of the weights, as their publisher states it.
    """

    name: str
    url: str
    input_format: InputFormat
    top1: float
    licence: str

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def hash_prefix(self) -> str:
        return self.file_name.rpartition("-")[2].partition(".")[0]


_TORCHVISION = {
    "ResNet18": "ResNet18_Weights",
    "ResNet50": "ResNet50_Weights",
    "ResNet101": "ResNet101_Weights",
}
KINDS = ("IMAGENET",)


def find_entry(backbone: str, kind: str) -> CatalogueEntry:
    """The catalogue's row.

    Raises:
        ValueError: when there is none, with what there is.
    """
    if kind not in KINDS or backbone not in _TORCHVISION:
        raise ValueError(
            f"pretrain_weights is {kind!r}, but for backbone {backbone!r} there is: "
            f"{_offered(backbone)}a path to a weight file or a saved model, or null"
        )
    import torchvision

    weights = getattr(torchvision.models, _TORCHVISION[backbone]).IMAGENET1K_V1
    return CatalogueEntry(
        name=f"torchvision {weights}",
        url=weights.url,
        input_format=IMAGENET_RGB,
        top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        licence="BSD-3-Clause",
    )


def _offered(backbone: str) -> str:
    return "".join(f"'{kind}', " for kind in KINDS) if backbone in _TORCHVISION else ""
