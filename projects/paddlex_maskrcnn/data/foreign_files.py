"""Files that are not the picture their name says: what their first bytes tell, and what to do about it."""

import codecs

# where, bytes -> what such a file is, and the remedy
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the picture itself: run `git lfs pull`",
    ),
    (0, b"/annex/objects/", "a git-annex pointer, not the picture itself: run `git annex get`"),
    (0, b"%PDF", "a PDF document: export its pages as PNG"),
    (0, b"PK\x03\x04", "a zip archive (or NPZ, or an office document): unpack it"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it"),
    (0, b"\x93NUMPY", "a NumPy array: give it the suffix .npy"),
    (0, b"\x80\x04\x95", "a Python pickle: save the array with numpy.save"),
    (0, b"8BPS", "a Photoshop document: export it as PNG"),
    (0, b"II\xbc\x01", "a JPEG XR picture: convert it to PNG or JPEG"),
    (0, b"\xff\x0a", "a JPEG XL picture: convert it to PNG or JPEG"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture: convert it to PNG or JPEG"),
    (0, b"\x89HDF", "an HDF5 file: save its pixels as NPY"),
    (0, b"\x1aE\xdf\xa3", "a video: give it to predict, or save its frames as pictures"),
    (128, b"DICM", "a DICOM file: convert it to 16-bit PNG or NPY"),
)
_BRANDS = {  # of the ISO base media file format; AVIF files may name HEIF's general brands too
    "an AVIF": (b"avif", b"avis"),
    "a HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
}
_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "XML"),
    (b"<", "HTML or XML"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)
_SHOWN = 40  # characters of a text


def described(start: bytes) -> str:
    """What a file is instead of a picture and what to do, in words after "image ...: "; empty if unknown.

    Args:
        start: its first bytes, some hundred of them; fewer are the whole file.
    """
    for kind in (_empty, _signed, _media, _text):
        words = kind(start)
        if words:
            return words
    return ""


def _empty(start: bytes) -> str:
    if not start:
        return "the file is empty: copy or download it again"
    is_blank = len(start) >= 64 and not any(start)
    return "the file has only zero bytes: copy or download it again" if is_blank else ""


def _signed(start: bytes) -> str:
    fitting = (words for where, magic, words in _SIGNATURES if start[where:].startswith(magic))
    return next(fitting, "")


def _media(start: bytes) -> str:
    if start[4:8] != b"ftyp":
        return ""
    brands = start[8 : min(64, int.from_bytes(start[:4], "big"))]
    for name, own in _BRANDS.items():
        if any(brand in brands for brand in own):
            return f"{name} picture, which is not read: convert it to JPEG or PNG"
    return "a video: give it to predict, or save its frames as pictures"


def _text(start: bytes) -> str:
    text = _decoded(start)
    if text is None:
        return ""
    for beginning, name in _MARKUP:
        if text.lstrip().lower().encode().startswith(beginning):
            return f"{name}, not a picture: a download that failed leaves such files, download it again"
    shown = " ".join(text.split())[:_SHOWN]
    return f"text that begins with {shown!r}, not a picture"


def _decoded(start: bytes) -> str | None:
    """The bytes as text where they are printable."""
    is_wide = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    # incremental: the last character may be cut off
    decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8-sig")()
    try:
        text = decoder.decode(start)
    except UnicodeDecodeError:
        return None
    is_text = text.strip() and all(sign.isprintable() or sign.isspace() for sign in text)
    return text if is_text else None
