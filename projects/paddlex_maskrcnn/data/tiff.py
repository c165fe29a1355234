"""What a TIFF says of its pixels: size, depth, layout, pages; and which of them cannot be read here.

Pillow opens no TIFF of 64 bits, of colours above 8 bits or of many channels, and OpenCV tells nothing before
it has decoded; the directory of the first page (TIFF 6.0, section 2) says it in a few bytes. OpenCV turns
TIFFs upright itself, so sizes are upright ones.
"""

import warnings
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin

_BIG_TIFF = (b"II+\0", b"MM\0+")
MAGIC = (b"II*\0", b"MM\0*", *_BIG_TIFF)

# numbers of TIFF's tags
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 274, 277, 284, 339
_LAB = (8, 9, 10)  # CIELab, ICCLab, ITULab
_FORMATS = {1: "uint", 2: "int", 3: "float"}
_SWAPS_SIDES = (5, 6, 7, 8)
_MOST_SAMPLES = 4  # of a pixel, that OpenCV decodes
_MOST_PAGES = 64  # that are looked at
_SMALLER, _TRANSPARENCY = 1, 4  # bits of the subfile tag: a preview, a mask of another page


@dataclass(frozen=True)
class TiffPage:
    """The first page of a TIFF.

    Attributes:
        size: (height, width) in pixels, upright.
        depth: type of a sample, such as "uint8", "float32", or "uint12" where bits are packed.
        bits: of a sample.
        samples: of a pixel.
        is_planar: whether each channel is stored by itself.
        is_lab: whether colours are CIELAB.
        compression: number of the method.
        num_pages: pages with a picture of their own, previews and masks left out; 64 at most.
    """

    size: tuple[int, int]
    depth: str
    bits: int
    samples: int
    is_planar: bool
    is_lab: bool
    compression: int
    num_pages: int

    @property
    def refusal(self) -> str:
        """Why its pixels cannot be read truly, and what to do; empty where they can."""
        if self.depth == "float16":
            return "its pixels are float16, which is not read: convert it to float32 or uint16"
        if self.samples > _MOST_SAMPLES:
            return (
                f"it has {self.samples} samples a pixel, more than the {_MOST_SAMPLES} that are read: write "
                "each channel as a page of its own, or all as NPY"
            )
        if self.is_planar and self.samples > 1 and self.bits > 8:
            # OpenCV 4 and 5 take the planes for neighbouring pixels: wrong values without an error
            return (
                f"its {self.depth} channels are stored in separate planes (PlanarConfiguration 2), which is "
                "not read: write it pixel by pixel (tiffcp -p contig, gdal_translate -co INTERLEAVE=PIXEL)"
            )
        if self.is_lab:
            return "its colours are CIELAB, which is not read: convert it to RGB"
        return ""


def first_page(file: Any) -> TiffPage | None:
    """The first page of an open TIFF; None where the directory cannot be understood.

    Args:
        file: read from its start, and left anywhere.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on metadata that does not concern us
            return _first_page(file)
    except Exception:  # damaged directories make the parser raise whatever it stumbles over
        return None


def _first_page(file: Any) -> TiffPage | None:
    file.seek(0)
    start = file.read(16)
    if start[:4] not in MAGIC:
        return None
    directory = TiffImagePlugin.ImageFileDirectory_v2(start[: 16 if start[:4] in _BIG_TIFF else 8])
    file.seek(directory.next)
    directory.load(file)
    height, width = int(directory[_HEIGHT]), int(directory[_WIDTH])
    bits = max(_numbers(directory.get(_BITS, 1)))
    kind = _FORMATS.get(_numbers(directory.get(_SAMPLE_FORMAT, 1))[0], "uint")
    return TiffPage(
        size=(width, height) if directory.get(_ORIENTATION) in _SWAPS_SIDES else (height, width),
        depth=f"{kind}{bits}",
        bits=bits,
        samples=int(directory.get(_SAMPLES, 1)),
        is_planar=directory.get(_PLANES, 1) == 2,
        is_lab=directory.get(_PHOTOMETRIC) in _LAB,
        compression=int(directory.get(_COMPRESSION, 1)),
        num_pages=1 + _more_pages(directory, file),
    )


def _more_pages(directory: Any, file: Any) -> int:
    """Pages after the first that are pictures of their own."""
    count = 0
    for _ in range(_MOST_PAGES - 1):
        if not directory.next:
            break
        file.seek(directory.next)
        directory.load(file)
        count += not int(directory.get(_SUBFILE, 0)) & (_SMALLER | _TRANSPARENCY)
    return count


def _numbers(value: Any) -> list[int]:
    """A tag's values, of which there may be one for each sample."""
    values = value if isinstance(value, tuple) else (value,)
    return [int(number) for number in values]
