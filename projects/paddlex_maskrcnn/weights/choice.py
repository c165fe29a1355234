"""Starting weights for a backbone: the best that are available, chosen before any training.

COCO's whole detectors come first, then ImageNet's backbones, then files at hand. Nothing is downloaded that
is not used, and a machine without network is noticed within seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .catalogue import CatalogueEntry, find_entry, pattern_of_file
from .download import by_hand, fetch, offline_variable, weights_folder, why_unreachable

if TYPE_CHECKING:
    from torch import Tensor

_KINDS = ("COCO", "IMAGENET")  # better ones first
# 10^6 bytes of the files, roughly: of detectors 4 a number of the network, ImageNet's with their classifier
_MEGABYTES = {
    "COCO": {
        "ResNet18": 125, "ResNet50": 178, "ResNet101": 254, "ResNet50_vd": 178, "ResNet101_vd": 254,
        "HRNet_W18": 121,
    },
    "IMAGENET": {
        "ResNet18": 47, "ResNet50": 103, "ResNet101": 179, "ResNet50_vd": 103, "ResNet101_vd": 179,
        "ResNet50_vd_ssld": 103, "HRNet_W18": 86,
    },
}  # fmt: skip
_OF_PYRAMID = 34  # less without: measured on the state dicts of ResNet50 and ResNet101
_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of res2 to res5
_SUFFIXES = {".pth", ".pkl", ".safetensors", ".pdparams"}
_OF_A_ZOO = (
    "R-50",
    "R-101",
    "model_final_",
    "mask_rcnn_",
)  # Detectron2's, Detectron's and PaddleX's
_LARGEST_BYTES = 2e9  # more than any detector here has, with the state of its optimizer
_MOST_FILES = 30
_MOST_SHOWN = 4


@dataclass(frozen=True)
class WeightChoice:
    """Starting weights.

    Attributes:
        value: for `train.pretrain_weights`: a kind of the catalogue, or a path.
        reason: where they are, and why it is not better ones.
    """

    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value}: {self.reason}"


def choose_weights(
    backbone: str, with_fpn: bool = True, *, best: str = _KINDS[0], without_network: bool = False
) -> WeightChoice:
    """The best weights that can be had; they are on this machine's disk afterwards.

    Args:
        backbone: a value of `model.backbone`.
        with_fpn: as `model.with_fpn`.
        best: a kind of the catalogue; better ones are not asked for.
        without_network: only look at what is there, and say what is going to be downloaded; needs no torch.

    Raises:
        ValueError: when none can be had, with what was tried and what to do.
    """
    if without_network:
        return _without_network(backbone, with_fpn)
    failures: list[str] = []
    kinds = [
        kind for kind in _kinds(backbone, with_fpn) if _KINDS.index(kind) >= _KINDS.index(best)
    ]
    for kind in kinds:
        entry = find_entry(backbone, kind, with_fpn)
        try:
            return WeightChoice(kind, _reason(f"{entry.name}, {_obtained(entry)}", failures))
        except ValueError as error:
            failures.append(f"{kind}: {error}")
    at_hand = _files_at_hand()
    misfits = []
    for path in at_hand[:_MOST_FILES]:
        if why := _misfit(path, backbone):
            misfits.append(f"{path}: {why}")
        else:
            reason = f"a file at hand with all layers of {backbone}"
            return WeightChoice(str(path), _reason(reason, failures))
    wanted = find_entry(backbone, kinds[0], with_fpn)
    raise ValueError(_nothing(backbone, wanted, failures, misfits, len(at_hand)))


def _without_network(backbone: str, with_fpn: bool) -> WeightChoice:
    kinds = _kinds(backbone, with_fpn)
    forbidden = offline_variable()
    for kind in kinds:
        if any(weights_folder().glob(pattern_of_file(backbone, kind, with_fpn))):
            return WeightChoice(kind, "on disk")
        if not forbidden:
            size = _MEGABYTES[kind][backbone]
            size -= _OF_PYRAMID if kind == "COCO" and not with_fpn else 0
            return WeightChoice(kind, f"about {size} MB will be downloaded when training starts")
    return WeightChoice(
        kinds[0],
        f"not in {weights_folder()}, and {forbidden} forbids downloads: put the file there",
    )


def _kinds(backbone: str, with_fpn: bool) -> list[str]:
    """The kinds of the catalogue for this network, better ones first."""
    kinds = []
    for kind in _KINDS:
        try:
            pattern_of_file(backbone, kind, with_fpn)
        except ValueError:
            continue
        # of a detector's file from which a backbone alone fits, nothing but the backbone is of use
        if kind == "IMAGENET" or not find_entry(backbone, kind, with_fpn).backbone_only:
            kinds.append(kind)
    return kinds


def _obtained(entry: CatalogueEntry) -> str:
    """Where the entry's file is; ValueError when it cannot be had."""
    path = weights_folder() / entry.file_name
    if path.is_file():
        return f"on disk in {fetch(entry)}"  # which compares its hash
    if reason := why_unreachable(entry):
        raise ValueError(reason)
    return f"downloaded to {fetch(entry)}"


def _reason(what: str, failures: list[str]) -> str:
    return f"{what} (not {'; not '.join(failures)})" if failures else what


def _nothing(
    backbone: str, wanted: CatalogueEntry, failures: list[str], misfits: list[str], num_files: int
) -> str:
    folders = ", ".join(str(folder) for folder in _folders())
    files = f"no file in {folders} has all layers of {backbone}"
    if misfits:
        more = num_files - min(_MOST_SHOWN, len(misfits))
        files += f" ({'; '.join(misfits[:_MOST_SHOWN])}{f'; and {more} more' if more else ''})"
    return (
        f"there are no starting weights for {backbone}. Tried: {'; '.join([*failures, files])}. "
        f"{by_hand(wanted)}, which takes many more images and epochs; train.pretrain_weights=PATH uses any "
        "other weight file (docs/weights.md)"
    )


def _folders() -> Iterator[Path]:
    """Where files at hand may be, each folder once."""
    yield from dict.fromkeys((weights_folder(), Path("weights").absolute(), Path.cwd()))


def _files_at_hand() -> list[Path]:
    """Weight files, those with the names of a model zoo first."""
    paths = [
        path
        for folder in _folders()
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix in _SUFFIXES and path.is_file()
    ]
    return sorted(paths, key=lambda path: not path.name.startswith(_OF_A_ZOO))  # stable


def _misfit(path: Path, backbone: str) -> str:
    """Why a file cannot fill the backbone; empty when it can."""
    from .source import open_file  # needs torch

    if path.stat().st_size > _LARGEST_BYTES:
        return "larger than any detector here"
    try:
        state = open_file(path).state
    except (ValueError, OSError) as error:
        return str(error).removeprefix(f"{path} ")
    return misfit_of_layers(state, backbone)


def misfit_of_layers(state: Mapping[str, Tensor], backbone: str) -> str:
    """The first convolution that shows that weights are not of a backbone; empty when there is none.

    Args:
        state: Detectron2's names -> tensors, of a bare backbone or of a detector.
    """
    from .loading import inside_backbone

    widths = {inside_backbone(name): len(tensor) for name, tensor in state.items() if tensor.ndim}
    wanted, foreign = _layers(backbone)
    for name, width in wanted.items():
        if name not in widths:
            return f"has no {name}"
        if width and widths[name] != width:
            return f"{name} has {widths[name]} channels, not {width}"
    surplus = next((name for name in foreign if name in widths), "")
    return f"has {surplus}, which {backbone} does not have" if surplus else ""


def _layers(backbone: str) -> tuple[dict[str, int], list[str]]:
    """Parameters that a backbone has, with their numbers of channels (0: any), and some of deeper ones."""
    if backbone == "HRNet_W18":
        ends = ("stem.conv1", "stem.conv2", "stage1.3.conv3", "stage2.0.branches.1.3.conv2")
        wanted = dict.fromkeys((f"{layer}.weight" for layer in ends), 0)
        return wanted | {"stage4.2.branches.0.3.conv2.weight": 18}, []
    depth = int(backbone.removeprefix("ResNet").partition("_")[0])
    is_deep_stem = "_vd" in backbone
    wanted = {"stem.conv1.weight": 32 if is_deep_stem else 64}
    wanted |= {"stem.conv3.weight": 64} if is_deep_stem else {}
    foreign = [] if is_deep_stem else ["stem.conv3.weight"]
    layers = 2 if depth == 18 else 3
    for stage, blocks in enumerate(_BLOCKS[depth], start=2):
        narrow = 64 << (stage - 2)
        for block in range(blocks):
            for layer in range(1, layers + 1):
                width = narrow * (4 if layer == 3 else 1)
                wanted[f"res{stage}.{block}.conv{layer}.weight"] = width
                wanted[f"res{stage}.{block}.conv{layer}.norm.running_var"] = width
        foreign += [f"res{stage}.{blocks}.conv1.weight", f"res{stage}.0.conv{layers + 1}.weight"]
    return wanted, foreign
