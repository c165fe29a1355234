"""TIFF files of any depth and layout, written by hand: no library here writes all of them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_FORMATS = {"u": 1, "i": 2, "f": 3}
_SHORT, _LONG = 3, 4
_LETTERS, _SIZES = {_SHORT: "H", _LONG: "I"}, {_SHORT: 2, _LONG: 4}


def write_tiff(
    path: Path,
    pixels: np.ndarray,
    *,
    order: str = "<",
    planar: bool = False,
    packed_bits: int | None = None,
    more: dict[int, int] | None = None,
) -> Path:
    """One uncompressed page of (H, W) or (H, W, C) pixels, red first.

    Args:
        order: of bytes, '<' or '>'.
        planar: each channel by itself.
        packed_bits: grey values of so many bits (12) without gaps.
        more: further tags of one short value, or other values of those that are written.
    """
    height, width, *rest = pixels.shape
    channels = rest[0] if rest else 1
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    stored = np.moveaxis(stored, 2, 0) if planar else stored
    data = np.ascontiguousarray(stored).tobytes()
    if packed_bits:
        bits = (pixels[..., None] >> np.arange(packed_bits - 1, -1, -1)) & 1
        data = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    strips = channels if planar else 1
    tags = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [packed_bits or 8 * pixels.itemsize] * channels),
        259: (_SHORT, [1]),
        262: (_SHORT, [2 if channels in (3, 4) else 1]),
        273: (_LONG, [0] * strips),
        277: (_SHORT, [channels]),
        278: (_LONG, [height]),
        279: (_LONG, [len(data) // strips] * strips),
        284: (_SHORT, [2 if planar else 1]),
        339: (_SHORT, [_FORMATS[pixels.dtype.kind]] * channels),
    }
    tags |= {tag: (_SHORT, [value]) for tag, value in (more or {}).items()}
    path.write_bytes(_file(tags, data, order))
    return path


def _file(tags: dict[int, tuple[int, list[int]]], data: bytes, order: str) -> bytes:
    """Header, directory, what does not fit into it, pixels."""
    behind = 8 + 2 + 12 * len(tags) + 4
    sizes = [_SIZES[kind] * len(values) for kind, values in tags.values()]
    first = behind + sum(size for size in sizes if size > 4)
    strips = len(tags[273][1])
    tags[273] = (_LONG, [first + k * len(data) // strips for k in range(strips)])
    entries, outside = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack(order + _LETTERS[kind] * len(values), *values)
        if len(content) > 4:
            outside, content = outside + content, struct.pack(order + "I", behind + len(outside))
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    count = struct.pack(order + "H", len(tags))
    return start + count + entries + b"\0\0\0\0" + outside + data
