"""Sizes of ordinary JPEG and PNG files from their first bytes.

Pillow opens a file in some 50 us, which is minutes for a large data set on a slow machine. What
this module knows takes a tenth of it: a file in good order, of 8 bits if it is a JPEG, without EXIF
or other words about its orientation. Of everything else it says nothing, and Pillow is asked.

Sources: ITU-T T.81, annex B (segments of a JPEG); PNG specification, third edition, clause 11.
"""

import zlib
from struct import error, unpack_from

HEAD = 8192  # bytes of a file to look at
_MOST_PIXELS = 2**26  # of more, Pillow and OpenCV have their opinions

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_FRAMES, _SCAN = (0xC0, 0xC1, 0xC2), 0xDA
_OTHERS = (0xC4, 0xDD, 0xE0, 0xEE, 0xFE)  # not APP1 and APP13: EXIF, XMP, Photoshop's
_QUANTIZATION, _PICTURES = 0xDB, 0xE2
_TABLE, _WIDE = 65, 16  # bytes of a quantization table and its number; numbers of wide ones
_CHUNKS = (b"PLTE", b"tRNS", b"bKGD", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"tIME", b"tEXt")
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def plain_size(head: bytes) -> tuple[int, int] | None:
    """(height, width) in pixels of an ordinary file that starts like this; None for any other."""
    try:
        if head.startswith(_JPEG):
            return _checked(_jpeg_size(head))
        if head.startswith(_PNG):
            return _checked(_png_size(head))
    except error:  # the head ends too early
        pass
    return None


def _checked(size: tuple[int, int] | None) -> tuple[int, int] | None:
    return size if size and 0 < size[0] * size[1] <= _MOST_PIXELS else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    place, size = 2, None
    while True:
        start, marker, length = unpack_from(">BBH", head, place)
        if start != 0xFF or length < 2:
            return None
        if marker == _SCAN:
            return size
        if marker in _FRAMES:
            depth, height, width, layers = unpack_from(">BHHB", head, place + 4)
            if depth != 8 or layers not in (1, 3, 4) or length != 8 + 3 * layers or size:
                return None
            size = height, width
        elif not _is_plain(marker, length, head, place + 4):
            return None
        place += 2 + length


def _is_plain(marker: int, length: int, head: bytes, body: int) -> bool:
    """Whether a segment of a JPEG says nothing that could matter."""
    if marker == _QUANTIZATION:
        kinds = head[body : body + length - 2 : _TABLE]
        return (length - 2) % _TABLE == 0 and max(kinds, default=0) < _WIDE
    if marker == _PICTURES:
        return not head.startswith(b"MPF", body)  # several pictures in one file
    return marker in _OTHERS


def _png_size(head: bytes) -> tuple[int, int] | None:
    place, size = len(_PNG), None
    while True:
        length, kind = unpack_from(">I4s", head, place)
        if kind == b"IDAT":
            return size
        body = head[place + 4 : place + 8 + length]
        if zlib.crc32(body) != unpack_from(">I", head, place + 8 + length)[0]:
            return None
        if kind == b"IHDR" and length == 13 and size is None:
            width, height, depth, color, *methods = unpack_from(">IIBBBBB", body, 4)
            if depth not in _DEPTHS.get(color, ()) or methods[:2] != [0, 0] or methods[2] > 1:
                return None
            size = height, width
        elif size is None or kind not in _CHUNKS:
            return None
        place += 12 + length
