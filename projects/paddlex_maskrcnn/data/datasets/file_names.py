"""Files that annotations name otherwise than they are called.

Names change on their way between systems and tools: `Image.JPG` and `image.jpg`; letters composed
(NFC) or with separate accents (NFD, macOS); `%20` for a space; absolute paths; a folder in front that is
not there (`images/a.png`, CVAT); Label Studio's `/data/upload/1/0a1b2c3d-a.png`. Only names that lead to
no file are looked at here, so that ordinary data sets pay nothing.

Folders in front are left out where they say no more than the folder that was given: `images/7.png` may be
`7.png`, `video2/7.png` is not.

A file is taken where one file of the folder alone can be meant; otherwise a hint says what is there. Only
files of the folder that was given are ever taken.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from .files import is_junk, leaves_folder

FOUND_BY_NAME = (
    "file name that is not written as the file's place in the folder (case, form of letters, %20, "
    "absolute, a folder or prefix in front), matched with the file that is there"
)

# folders that tell data sets apart as little as having none
_PLAIN_FOLDERS = {
    "images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "data", "files",
}  # fmt: skip
UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts in front
# Roboflow's photo_jpg.rf.0123abcd.jpg of photo.jpg; it may be turned or cropped, so it is only named
_ROBOFLOW = re.compile(r"(.+)_(jpe?g|png|bmp|tiff?|webp)\.rf\.[0-9A-Za-z]+\.\w+$", re.IGNORECASE)
_MOST_LISTED = 3
_LONGEST_NAME = 4096  # bytes of a path that systems take
_MOST_PARTS = 64  # of a path; the time for all ends grows with the square
_MOST_HINTS = 20  # a folder is looked through for each, and messages show ten

Names = dict[str, list[str]]


class FileFinder:
    """Finds the files of a folder by names that are written otherwise."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Look into nothing yet.

        Args:
            root: the folder that holds all files.
        """
        self.root = os.path.abspath(root)
        # folder -> its names by key; threads that fill it twice fill it alike
        self._listings: dict[str, Names | None] = {}
        self._hints = 0

    def find(self, name: str) -> str | None:
        """The absolute path of the one file of the folder that a name can mean; None without one.

        Args:
            name: as written, relative to the folder or absolute.
        """
        for candidate in self._candidates(name):
            paths = self._matches(candidate)
            if len(paths) > 1:
                return None
            if paths:
                return paths[0]
        return None

    def spelt(self, name: str) -> str | None:
        """Like `find`, but only case and form of letters may differ."""
        paths = [] if leaves_folder(name) else self._matches(os.path.normpath(name))
        return paths[0] if len(paths) == 1 else None

    def hint(self, name: str) -> str:
        """What is there instead of a file that was not found, to be put behind its name; may be empty."""
        self._hints += 1
        for candidate in (
            self._candidates(name, all_ends=True) if self._hints <= _MOST_HINTS else ()
        ):
            paths = self._matches(candidate) or self._similar(candidate)
            if paths:
                listed = ", ".join(
                    os.path.relpath(path, self.root) for path in paths[:_MOST_LISTED]
                )
                more = ", ..." if len(paths) > _MOST_LISTED else ""
                return f"; there is {listed}{more} in the folder"
        return ""

    def _candidates(self, name: str, all_ends: bool = False) -> Iterator[str]:
        """Names relative to the folder that may be meant, the likeliest first.

        Args:
            all_ends: also the ends of names that lead to a file outside, or would if it existed.
        """
        # Label Studio's local files: /data/local-files/?d=folder/a.png
        written = name.replace("\\", "/").rpartition("?d=")[2]
        for text in dict.fromkeys((written, unquote(written))):
            if not _can_be_named(text):
                continue
            if os.path.isabs(text) and _is_below(text, self.root):
                yield os.path.relpath(os.path.realpath(text), os.path.realpath(self.root))
                return
            if not leaves_folder(text):
                yield os.path.normpath(text)
            if all_ends or not _leads_elsewhere(text):
                parts = [part for part in text.split("/") if part not in ("", ".")]
                yield from self._ends(parts, all_ends)

    def _ends(self, parts: list[str], all_ends: bool) -> Iterator[str]:
        """A name without its first folders, as long as these are not here, and without a prefix."""
        for first in range(len(parts) if len(parts) <= _MOST_PARTS else 0):
            if first and self._named(self.root, parts[first - 1]):
                return
            if (all_ends or self._says_nothing(parts[:first])) and ".." not in parts[first:]:
                yield "/".join(parts[first:])
        if parts and (match := UPLOAD_PREFIX.match(parts[-1])):
            yield parts[-1][match.end() :]

    def _says_nothing(self, folders: list[str]) -> bool:
        """Whether folders in front can be those that lead to this one."""
        if not folders or re.fullmatch("[A-Za-z]:", folders[-1]):
            return True
        last = _key(folders[-1])
        is_upload = last.isdigit() and len(folders) > 1 and folders[-2] == "upload"
        return is_upload or last in _PLAIN_FOLDERS or last == _key(os.path.basename(self.root))

    def _matches(self, name: str) -> list[str]:
        """The files that differ from a relative name in case and form of letters at most."""
        paths = [self.root]
        for part in name.split("/"):
            paths = [os.path.join(path, each) for path in paths for each in self._named(path, part)]
            if not paths:
                break
        return [path for path in paths if os.path.isfile(path)]

    def _named(self, folder: str, name: str) -> list[str]:
        names = (self._listing(folder) or {}).get(_key(name), [])
        return [name] if name in names else names

    def _similar(self, name: str) -> list[str]:
        """Files in the folder of a name that are called alike but for the suffix, or Roboflow's part."""
        folder = os.path.join(self.root, os.path.dirname(name))
        base = os.path.basename(name)
        match = _ROBOFLOW.match(base)
        stem = _key(match[1] if match else os.path.splitext(base)[0])
        names = [each for names in (self._listing(folder) or {}).values() for each in names]
        return [
            os.path.join(folder, each) for each in names if _key(os.path.splitext(each)[0]) == stem
        ]

    def _listing(self, folder: str) -> Names | None:
        """The names in a folder by their key; None if there is no such folder."""
        if folder not in self._listings:
            self._listings[folder] = _listing(folder)
        return self._listings[folder]


def _listing(folder: str) -> Names | None:
    names: Names = {}
    try:
        for name in sorted(os.listdir(folder)):
            if not is_junk(name):
                names.setdefault(_key(name), []).append(name)
    except (OSError, ValueError):
        return None
    return names


def _key(name: str) -> str:
    """The same for names that differ in case or in the form of their letters only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _can_be_named(name: str) -> bool:
    """Whether the system has files of such a name."""
    try:
        return "\0" not in name and 0 < len(os.fsencode(name)) < _LONGEST_NAME
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def _is_below(path: str, root: str) -> bool:
    real, real_root = os.path.realpath(path), os.path.realpath(root)
    return real.startswith(os.path.join(real_root, "")) and os.path.isfile(real)


def _leads_elsewhere(name: str) -> bool:
    """Whether a name says where its file is, and that is not here: upwards, or a file that exists."""
    is_upwards = os.path.normpath(name).split(os.sep)[0] == ".."
    return is_upwards or (os.path.isabs(name) and os.path.lexists(name))
