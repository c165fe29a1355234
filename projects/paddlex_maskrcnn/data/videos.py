"""Videos as OpenCV reads and writes them: one frame in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_CODEC = "mp4v"
_UNKNOWN_PACE = 25.0  # frames a second


def is_video(name: str | os.PathLike[str]) -> bool:
    """Whether the name ends like that of a video."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


class Video:
    """A video that is read frame by frame.

    Attributes:
        pace: frames a second.
        num_frames: as the file says, which may be wrong or 0.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if OpenCV cannot read it.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {os.fspath(path)}")
        self._capture = cv2.VideoCapture(os.fspath(path))
        if not self._capture.isOpened():
            raise ValueError(f"video {os.fspath(path)!r} cannot be opened: no video, or damaged")
        self.pace = self._capture.get(cv2.CAP_PROP_FPS) or _UNKNOWN_PACE
        self.num_frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, (H, W, 3) uint8 in BGR order; once."""
        try:
            while True:
                there, frame = self._capture.read()
                if not there:
                    return
                yield frame
        finally:
            self._capture.release()


class VideoFile:
    """An mp4 file that is written frame by frame and bears its name only when it is complete."""

    def __init__(self, path: Path, pace: float) -> None:
        """Remember where to; the first frame decides the size.

        Args:
            pace: frames a second.
        """
        self.path, self.pace = path.with_suffix(".mp4"), pace
        self._unfinished = self.path.with_name(f".{self.path.stem}.unfinished.mp4")
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 in BGR order.

        Raises:
            OSError: if the file cannot be written.
        """
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size, codec = frame.shape[1::-1], cv2.VideoWriter.fourcc(*_CODEC)
            self._writer = cv2.VideoWriter(str(self._unfinished), codec, self.pace, size)
            if not self._writer.isOpened():
                raise OSError(f"cannot write the video {str(self.path)!r}")
        self._writer.write(frame)

    def finish(self) -> None:
        """Close it and give it its name."""
        if self._writer is not None:
            self._writer.release()
            os.replace(self._unfinished, self.path)
