"""The catalogue as docs/weights.md shows it."""

from __future__ import annotations

from .catalogue import CatalogueEntry, all_entries


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
