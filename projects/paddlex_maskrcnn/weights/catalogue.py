"""Pretrained weights by name: one row for each backbone and kind.

torchvision's addresses, hash prefixes (in the file name) and accuracies are its own metadata, so that
nothing is repeated here that could go stale. The other publishers give no hash with the file: those
rows are not verified, and a download says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from .input_format import IMAGENET_RGB, InputFormat


@dataclass(frozen=True)
class CatalogueEntry:
    """A weight file that can be had by name.

    Attributes:
        name: publisher and tag.
        url: where it is published.
        file_name: what it is called here.
        input_format: how images must look.
        top1: published ImageNet accuracy at 224 pixels, percent; None where not known.
        licence: of the weights, as their publisher states it.
        hash_prefix: beginning of its sha256; empty where the publisher gives none.
    """

    name: str
    url: str
    file_name: str
    input_format: InputFormat
    top1: float | None
    licence: str
    hash_prefix: str = ""


_TORCHVISION = {
    "ResNet18": "ResNet18_Weights",
    "ResNet50": "ResNet50_Weights",
    "ResNet101": "ResNet101_Weights",
}
# backbone -> (timm's tag, published top-1)
_TIMM: dict[str, tuple[str, float | None]] = {
    "ResNet50_vd": ("resnet50d.ra2_in1k", 80.55),
    "ResNet101_vd": ("resnet101d.ra2_in1k", None),
    "HRNet_W18": ("hrnet_w18.ms_in1k", None),
}
_SSLD = "ResNet50_vd_ssld_v2_pretrained_from_paddle.pth"
KINDS = ("IMAGENET",)


def find_entry(backbone: str, kind: str) -> CatalogueEntry:
    """The catalogue's row.

    Raises:
        ValueError: when there is none, with what there is.
    """
    if kind not in KINDS:
        raise ValueError(
            f"pretrain_weights is {kind!r}, but for backbone {backbone!r} there is: "
            f"{', '.join(map(repr, KINDS))}, a path to a weight file, or null"
        )
    if backbone in _TORCHVISION:
        return _torchvision(_TORCHVISION[backbone])
    if backbone in _TIMM:
        return _timm(*_TIMM[backbone])
    return CatalogueEntry(
        name="SSLD v2 from Paddle, converted by the authors of RT-DETR's PyTorch code",
        url=f"https://github.com/lyuwenyu/storage/releases/download/v0.1/{_SSLD}",
        file_name=_SSLD,
        input_format=IMAGENET_RGB,
        top1=None,
        licence="Apache-2.0",
    )


def _torchvision(enum: str) -> CatalogueEntry:
    import torchvision

    weights = getattr(torchvision.models, enum).IMAGENET1K_V1
    file_name = weights.url.rpartition("/")[2]
    return CatalogueEntry(
        name=f"torchvision {weights}",
        url=weights.url,
        file_name=file_name,
        input_format=IMAGENET_RGB,
        top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        licence="BSD-3-Clause",
        hash_prefix=file_name.rpartition("-")[2].partition(".")[0],
    )


def _timm(tag: str, top1: float | None) -> CatalogueEntry:
    return CatalogueEntry(
        name=f"timm {tag}",
        url=f"https://huggingface.co/timm/{tag}/resolve/main/model.safetensors",
        file_name=f"timm_{tag}.safetensors",
        input_format=IMAGENET_RGB,
        top1=top1,
        licence="Apache-2.0",
    )
