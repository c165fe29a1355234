"""Every image of a part looked at once, in several processes: its file and its objects.

A file is told from others by a fingerprint: its bytes, its look, and how its pixels are stored. The
look is a difference hash ("dHash": of a 9 x 8 grey picture, whether each pixel is brighter than its
left neighbour, 64 bits; N. Krawetz, "Kind of Like That", 2013) and a 16 x 16 grey picture, which
settles whether two images of nearly the same hash are alike. JPEG files are decoded at an eighth of
their size for it, as far as they are large enough.
"""

import hashlib
import io
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ...system import one_opencv_thread, worker_count
from ..datasets.base import DetectionDataset
from ..datasets.records import PackedRecords
from ..image_headers import decode, file_bytes, load_array, orientation_of, undecodable
from ..images import decode_picture, pixel_limits, turned
from ..tiff import MAGIC as TIFF_MAGIC
from ..tiff import first_page
from .objects import ObjectColumns, Objects, Twin, measured

_CHUNK = 16  # images a worker hands over at once
_WORTH_A_PROCESS = 64  # images; starting one takes about as long

SIDE = 16  # of the grey picture, pixels
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}
_LEAST_REDUCED_SIDE = 64  # pixels; hashes of smaller pictures differ from those of the full one
_PNG_KINDS = {0: "grey", 2: "colour", 3: "palette", 4: "grey + alpha", 6: "colour + alpha"}
_KINDS = {
    "1": "grey 1 bit", "L": "grey 8 bits", "LA": "grey + alpha 8 bits", "P": "palette 8 bits",
    "RGB": "colour 8 bits", "RGBA": "colour + alpha 8 bits", "CMYK": "CMYK 8 bits",
    "YCbCr": "colour 8 bits",
}  # fmt: skip


@dataclass(slots=True)
class Fingerprint:
    """What tells an image file from another.

    Attributes:
        digest: hash of the encoded picture.
        look: 64-bit difference hash.
        thumbnail: (16, 16) uint8, the picture in grey; None where it cannot be decoded.
        kind: channels and depth in words, such as "grey 16 bits".
        orientation: EXIF orientation, 1 where there is none.
        depth: type of a value, such as "float32"; empty for 8 bits.
        limits: smallest and largest value where there is a depth, NaN where one of them is.
        fault: why there are no pixels; empty when all is well.
    """

    digest: str = ""
    look: int = 0
    thumbnail: np.ndarray | None = None
    kind: str = ""
    orientation: int = 1
    depth: str = ""
    limits: tuple[float, float] = (0.0, 255.0)
    fault: str = ""


@dataclass
class Overview:
    """What is known of one part before any image is looked at.

    Attributes:
        name: of the part.
        source: names the data set in messages.
        labels: names of the classes.
        groups: name of the group that each class is in, COCO's supercategory.
        objects: one row an annotation.
    """

    name: str
    source: str
    labels: list[str]
    groups: list[str]
    objects: ObjectColumns


@dataclass
class Scan(Overview):
    """What was measured of one part.

    Attributes:
        files: path of each image.
        ids: image id of each image.
        sizes: (N, 2) height and width of each image, pixels.
        fingerprints: of each image file.
        objects: one row an annotation, with all measures.
        twins: annotations of the same object.
    """

    objects: Objects
    files: list[str]
    ids: list[int]
    sizes: np.ndarray
    fingerprints: list[Fingerprint]
    twins: list[Twin]

    @property
    def per_image(self) -> np.ndarray:
        """(N,) objects of each image, crowd regions left out."""
        counted = self.objects.image[~self.objects.is_crowd]
        return np.bincount(counted, minlength=len(self.files))


@dataclass
class _ScannedImage:
    file: str
    image_id: int
    fingerprint: Fingerprint
    objects: Objects
    twins: list[Twin]


class _Images:
    """A chunk of images at a time, so that few messages pass between processes."""

    def __init__(self, records: PackedRecords) -> None:
        self.records = records

    def __len__(self) -> int:
        return -(-len(self.records) // _CHUNK)

    def __getitem__(self, chunk: int) -> list[_ScannedImage]:
        last = min((chunk + 1) * _CHUNK, len(self.records))
        return [_scanned(self.records, image) for image in range(chunk * _CHUNK, last)]


def scan(
    dataset: DetectionDataset,
    name: str,
    num_workers: int | str = "auto",
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Look at every image and every object of a data set.

    Args:
        name: of the part.
        num_workers: processes, or 'auto' for half the cores, at most eight.
        progress: called with how many more images are done.
    """
    images: list[_ScannedImage] = []
    for chunk in _chunks(dataset.records, num_workers):
        images += chunk
        if progress:
            progress(len(chunk))
    return Scan(
        name=name,
        source=dataset.name,
        labels=dataset.labels,
        groups=groups_of(dataset),
        files=[image.file for image in images],
        ids=[image.image_id for image in images],
        sizes=dataset.sizes,
        fingerprints=[image.fingerprint for image in images],
        objects=Objects.joined([image.objects for image in images]),
        twins=[twin for image in images for twin in image.twins],
    )


def groups_of(dataset: DetectionDataset) -> list[str]:
    """The group of each class."""
    return [str(category.get("supercategory", "")) for category in dataset.categories]


def _chunks(records: PackedRecords, num_workers: int | str) -> Iterator[list[_ScannedImage]]:
    images = _Images(records)
    workers = min(worker_count(num_workers), len(records) // _WORTH_A_PROCESS)
    if workers < 1:
        yield from (images[chunk] for chunk in range(len(images)))
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with (
        one_opencv_thread(),
        ProcessPoolExecutor(workers, context, _take, (images,)) as processes,
    ):
        yield from processes.map(_chunk, range(len(images)))


_taken: list[_Images] = []  # in each process, the images it takes chunks of


def _take(images: _Images) -> None:
    _taken[:] = [images]


def _chunk(number: int) -> list[_ScannedImage]:
    return _taken[0][number]


def _scanned(records: PackedRecords, image: int) -> _ScannedImage:
    record = records[image]
    objects, twins = measured(record, image)
    taken = fingerprint(record["file_name"], (record["height"], record["width"]))
    return _ScannedImage(record["file_name"], record["image_id"], taken, objects, twins)


def fingerprint(path: str, size: tuple[int, int]) -> Fingerprint:
    """Read a file once and take its fingerprint; a file that cannot be read has a fault.

    Args:
        size: (height, width) of the picture in pixels, which decides how small it is decoded.
    """
    try:
        if path.lower().endswith(".npy"):
            return _of_array(Path(path))
        data = file_bytes(Path(path))
    except (OSError, ValueError) as error:
        return Fingerprint(fault=str(error))
    taken = Fingerprint(digest=_digest(data), kind=_kind(data), orientation=orientation_of(data))
    pixels = _pixels(data, min(size))
    if pixels is None:
        taken.fault = f"its pixels cannot be decoded: {undecodable(data)}"
    else:
        _add_depth(taken, pixels)
        _add_look(taken, turned(_grey(pixels), taken.orientation))
    return taken


def difference_hash(grey: np.ndarray) -> int:
    """The 64-bit difference hash of a grey picture (H, W) uint8."""
    tiny = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(tiny[:, 1:] > tiny[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def _digest(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _of_array(path: Path) -> Fingerprint:
    array = np.asarray(load_array(path))
    channels = 1 if array.ndim == 2 else array.shape[2]
    kind = f"{channels} channels {array.dtype}"
    taken = Fingerprint(digest=_digest(path.read_bytes()), kind=kind)
    _add_depth(taken, array)
    _add_look(taken, _grey(array))
    return taken


def _add_depth(taken: Fingerprint, pixels: np.ndarray) -> None:
    if pixels.dtype != np.uint8:
        taken.depth = str(pixels.dtype.newbyteorder("="))
        taken.limits = pixel_limits(pixels)


def _add_look(taken: Fingerprint, grey: np.ndarray) -> None:
    taken.look = difference_hash(grey)
    taken.thumbnail = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _pixels(data: np.ndarray, short_side: int) -> np.ndarray | None:
    """As training decodes them; of a large JPEG, smaller and in grey."""
    if data[:3].tobytes() != _JPEG:
        return decode_picture(data, 3)[0]
    fitting = (f for f in _REDUCED if short_side >= f * _LEAST_REDUCED_SIDE)
    flags = _REDUCED.get(next(fitting, 1), cv2.IMREAD_GRAYSCALE)
    return decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)


def _grey(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of any depth and number of channels."""
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return _eight_bits(pixels if pixels.ndim == 2 else pixels.mean(axis=2))


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Any depth as uint8, the brightest pixel white."""
    if pixels.dtype == np.uint8:
        return pixels
    pixels = np.nan_to_num(pixels.astype(np.float64), posinf=0, neginf=0)
    low, high = float(pixels.min()), float(pixels.max())
    return ((pixels - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def _kind(data: np.ndarray) -> str:
    if data[:8].tobytes() == _PNG and len(data) > 25:  # Pillow does not tell 16 bits from 8
        depth = int(data[24])
        return f"{_PNG_KINDS.get(int(data[25]), 'other')} {depth} bit{'s' * (depth > 1)}"
    file = io.BytesIO(data.tobytes())
    page = first_page(file) if data[:4].tobytes() in TIFF_MAGIC else None
    if page is not None and page.bits > 8:  # most of these Pillow does not open
        return f"{'grey' if page.samples == 1 else 'colour'} {_in_words(page.depth)}"
    try:
        file.seek(0)
        with Image.open(file) as picture:
            mode = picture.mode
    except Exception:  # damaged headers make Pillow raise whatever it stumbles over
        return "other"
    return _KINDS.get(mode, mode)


def _in_words(depth: str) -> str:
    """ "uint16" as "16 bits"; other types by their names."""
    return f"{depth.removeprefix('uint')} bits" if depth.startswith("uint") else depth
