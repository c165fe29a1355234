"""Pretrained weights by name: one row for each backbone and kind.

torchvision's addresses, hash prefixes (in the file name) and accuracies are its own metadata, so that
nothing is repeated here that could go stale; tests compare the other rows with timm and Detectron2
where these carry the same facts. A hash is given only where the publisher gives one; all other rows
are unverified, and a download says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .input_format import CAFFE_BGR, IMAGENET_RGB, PADDLEX_RGB, InputFormat

KINDS = ("IMAGENET", "COCO")

# of COCO's detectors, in the order of their ids
_COCO_NAMES = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
    bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
    sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
    bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
    dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven,
    toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
    toothbrush
"""
COCO_LABELS = tuple(" ".join(name.split()) for name in _COCO_NAMES.split(","))


@dataclass(frozen=True)
class CatalogueEntry:
    """A weight file that can be had by name.

    Attributes:
        name: publisher and tag.
        url: where it is published.
        file_name: what it is called here.
        input_format: how images must look.
        licence: of the weights, as their publisher states it.
        top1: published ImageNet accuracy, percent; None where unknown or not measured.
        box_ap, mask_ap: published AP on COCO val2017, percent; likewise.
        measured: how and where that is published.
        hash_prefix: beginning of its sha256; empty where the publisher gives none.
        md5_prefix: beginning of its md5; likewise.
        backbone_only: whether the rest of the network is another one, so that it stays random.
    """

    name: str
    url: str
    file_name: str
    input_format: InputFormat
    licence: str
    top1: float | None = None
    box_ap: float | None = None
    mask_ap: float | None = None
    measured: str = ""
    hash_prefix: str = ""
    md5_prefix: str = ""
    backbone_only: bool = False

    @property
    def verified(self) -> bool:
        """Whether a download can be compared with a hash of its publisher."""
        return bool(self.hash_prefix or self.md5_prefix)


_TORCHVISION = {
    "ResNet18": "ResNet18_Weights",
    "ResNet50": "ResNet50_Weights",
    "ResNet101": "ResNet101_Weights",
}

# backbone -> (tag, address, licence, top-1, pixels of the images it was measured on). Addresses and
# licences: timm.get_pretrained_cfg; accuracies: pytorch-image-models, results/results-imagenet.csv at
# commit 0173a139. timm's files on its release page have their sha256's beginning in the name.
_TIMM_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
_TIMM = {
    "ResNet50_vd": (
        "resnet50d.ra2_in1k", f"{_TIMM_RELEASES}resnet50d_ra2-464e36ba.pth", "Apache-2.0", 81.356, 288,
    ),
    "ResNet101_vd": (
        "resnet101d.ra2_in1k", f"{_TIMM_RELEASES}resnet101d_ra2-2803ffab.pth", "Apache-2.0", 83.016, 320,
    ),
    "HRNet_W18": (
        "hrnet_w18.ms_in1k",
        "https://huggingface.co/timm/hrnet_w18.ms_in1k/resolve/main/model.safetensors",
        "MIT", 76.752, 224,
    ),
}  # fmt: skip

_SSLD = "ResNet50_vd_ssld_v2_pretrained_from_paddle.pth"

# (backbone, with_fpn) -> (configuration, address after it, box AP, mask AP): Detectron2's
# model_zoo.py and MODEL_ZOO.md, which also says that file names end in the md5's beginning.
_ZOO = "https://dl.fbaipublicfiles.com/detectron2/"
_ZOO_FOLDER = "COCO-InstanceSegmentation/"
_DETECTRON2 = {
    ("ResNet50", True): ("mask_rcnn_R_50_FPN_3x", "137849600/model_final_f10217.pkl", 41.0, 37.2),
    ("ResNet50", False): ("mask_rcnn_R_50_C4_3x", "137849525/model_final_4ce675.pkl", 39.8, 34.4),
    ("ResNet101", True): ("mask_rcnn_R_101_FPN_3x", "138205316/model_final_a3ec72.pkl", 42.9, 38.6),
    ("ResNet101", False): ("mask_rcnn_R_101_C4_3x", "138363239/model_final_a2914c.pkl", 42.6, 36.7),
}

# backbone -> (address, box AP, mask AP): PaddleX 1.3, docs/appendix/model_zoo.md. All have a pyramid.
_PADDLEX_HOST = "https://bj.bcebos.com/paddlex/pretrained_weights/"
_PADDLE_HOST = "https://paddlemodels.bj.bcebos.com/object_detection/"
_PADDLEX = {
    "ResNet18": (f"{_PADDLEX_HOST}mask_rcnn_r18_fpn_1x.tar", 33.6, 30.5),
    "ResNet50_vd": (f"{_PADDLE_HOST}mask_rcnn_r50_vd_fpn_2x.tar", 39.8, 35.4),
    "ResNet101_vd": (f"{_PADDLE_HOST}mask_rcnn_r101_vd_fpn_1x.tar", 41.4, 36.8),
    "HRNet_W18": (f"{_PADDLEX_HOST}mask_rcnn_hrnetv2p_w18_2x.tar", 38.7, 34.7),
}


def find_entry(backbone: str, kind: str, with_fpn: bool = True) -> CatalogueEntry:
    """The catalogue's row.

    Args:
        backbone: a value of the setting `backbone`.
        kind: one of KINDS.
        with_fpn: whether the network has a feature pyramid; only COCO weights depend on it.

    Raises:
        ValueError: when there is none, with what there is.
    """
    if kind == "IMAGENET":
        return _imagenet(backbone)
    entry = _coco(backbone, with_fpn) if kind == "COCO" else None
    if entry is None:
        kinds = [name for name in KINDS if name == "IMAGENET" or _coco(backbone, with_fpn)]
        raise ValueError(
            f"pretrain_weights is {kind!r}, but for backbone {backbone!r} there is: "
            f"{', '.join(map(repr, kinds))}, a path to a weight file, or null"
        )
    return entry


def pattern_of_file(backbone: str, kind: str, with_fpn: bool = True) -> str:
    """What the file of `find_entry` is called, as a glob pattern: told without importing torchvision.

    Raises:
        ValueError: when there is no such row.
    """
    if kind == "IMAGENET" and backbone in _TORCHVISION:
        return f"{backbone.lower()}-{'[0-9a-f]' * 8}.pth"
    return find_entry(backbone, kind, with_fpn).file_name


def all_entries() -> Iterator[tuple[str, str, bool | None, CatalogueEntry]]:
    """Every row: backbone, kind, with or without pyramid (None where it does not matter), entry."""
    for backbone in (*_TORCHVISION, *_TIMM, "ResNet50_vd_ssld"):
        yield backbone, "IMAGENET", None, _imagenet(backbone)
        for with_fpn in (True, False):
            entry = _coco(backbone, with_fpn)
            if entry is not None:
                yield backbone, "COCO", with_fpn, entry


def _imagenet(backbone: str) -> CatalogueEntry:
    if backbone in _TORCHVISION:
        return _torchvision(_TORCHVISION[backbone])
    if backbone in _TIMM:
        return _timm(*_TIMM[backbone])
    return CatalogueEntry(
        name="SSLD v2 of PaddleClas, converted by the authors of RT-DETR's PyTorch code",
        url=f"https://github.com/lyuwenyu/storage/releases/download/v0.1/{_SSLD}",
        file_name=_SSLD,
        input_format=IMAGENET_RGB,
        licence="Apache-2.0",
        top1=83.0,
        measured="top-1 at 224 pixels; PaddleClas, table of the ResNet-vd series",
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
        licence="BSD-3-Clause",
        top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        measured="top-1 at 224 pixels; torchvision",
        hash_prefix=_hash_in_name(file_name, "-"),
    )


def _timm(tag: str, url: str, licence: str, top1: float, pixels: int) -> CatalogueEntry:
    file_name = url.rpartition("/")[2]
    is_release = file_name.endswith(".pth")
    return CatalogueEntry(
        name=f"timm {tag}",
        url=url,
        file_name=file_name if is_release else f"timm_{tag}.safetensors",
        input_format=IMAGENET_RGB,
        licence=licence,
        top1=top1,
        measured=f"top-1 at {pixels} pixels; timm, results-imagenet.csv",
        hash_prefix=_hash_in_name(file_name, "-") if is_release else "",
    )


def _coco(backbone: str, with_fpn: bool) -> CatalogueEntry | None:
    if (backbone, with_fpn) in _DETECTRON2:
        return _detectron2(*_DETECTRON2[backbone, with_fpn])
    if backbone in _PADDLEX and (with_fpn or backbone != "HRNet_W18"):
        # a backbone alone fits every definition of a detector, except ResNet18 with its projection
        form = PADDLEX_RGB if with_fpn or backbone == "ResNet18" else IMAGENET_RGB
        return _paddlex(*_PADDLEX[backbone], with_fpn, form)
    return None


def _detectron2(configuration: str, suffix: str, box_ap: float, mask_ap: float) -> CatalogueEntry:
    return CatalogueEntry(
        name=f"Detectron2 {configuration}",
        url=f"{_ZOO}{_ZOO_FOLDER}{configuration}/{suffix}",
        file_name=suffix.rpartition("/")[2],
        input_format=CAFFE_BGR,
        licence="CC BY-SA 3.0",
        box_ap=box_ap,
        mask_ap=mask_ap,
        measured="COCO val2017; Detectron2, MODEL_ZOO.md",
        md5_prefix=_hash_in_name(suffix, "_"),
    )


def _paddlex(
    url: str, box_ap: float, mask_ap: float, with_fpn: bool, form: InputFormat
) -> CatalogueEntry:
    file_name = url.rpartition("/")[2]
    return CatalogueEntry(
        name=f"PaddleX 1.3 {file_name.removesuffix('.tar')}",
        url=url,
        file_name=file_name,
        input_format=form,
        licence="Apache-2.0 (of PaddleX)",
        box_ap=box_ap if with_fpn else None,
        mask_ap=mask_ap if with_fpn else None,
        measured="COCO val2017; PaddleX 1.3, model zoo" if with_fpn else "",
        backbone_only=not with_fpn,
    )


def _hash_in_name(file_name: str, before: str) -> str:
    return file_name.rpartition(before)[2].partition(".")[0]


def markdown_table() -> str:
    """All rows, as docs/weights.md shows them."""
    lines = [
        "| backbone | kind | FPN | source | published | input | licence | verified by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    words = {None: "any", True: "yes", False: "no"}
    for backbone, kind, with_fpn, entry in all_entries():
        form = entry.input_format
        scaled = "scaled" if form.scaled else "mean only"
        stride = "1x1" if form.stride_in_1x1 else "3x3"
        cells = (
            f"`{backbone}`",
            kind,
            words[with_fpn],
            f"[{entry.name}]({entry.url})",
            _published(entry),
            f"{form.channel_order}, {scaled}, stride in {stride}",
            entry.licence,
            "sha256" if entry.hash_prefix else "md5" if entry.md5_prefix else "unverified",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _published(entry: CatalogueEntry) -> str:
    if entry.backbone_only:
        return "the backbone of the network with FPN; the rest starts at random"
    if entry.box_ap is not None:
        return f"box AP {entry.box_ap}, mask AP {entry.mask_ap} ({entry.measured})"
    return f"{entry.top1:.1f} ({entry.measured})"
