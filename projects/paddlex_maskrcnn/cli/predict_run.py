"""The work of ``predict``: the images and videos it means, through a model, into journal and pictures."""

from __future__ import annotations

import argparse
import glob
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..data.datasets.files import files_below, is_junk, is_picture
from ..data.images import read_image
from ..data.inputs import check_path
from ..data.videos import Video, VideoFile, is_video
from ..maskrcnn import MaskRCNN
from ..report.pictures import draw_objects, visualize
from .predict_journal import JournalPart

_READERS = 2


@dataclass(frozen=True)
class Input:
    """An image or video.

    Attributes:
        name: the path as it was given or found; what the output calls it.
        folder: where its picture goes, below the output folder.
    """

    name: str
    folder: Path

    @property
    def is_video(self) -> bool:
        """By its name."""
        return is_video(self.name)


def find_inputs(arguments: Sequence[str], output: Path) -> list[Input]:
    """Images and videos of files, folders (all below them) and glob patterns, each once.

    Args:
        output: folder that is written to; what lies in it is no input.

    Raises:
        ValueError: for a folder or pattern without any, or an output folder that is an input.
    """
    inputs: dict[str, None] = {}
    for argument in arguments:
        if not Path(argument).is_dir():
            check_path(argument)
        names = [name for name in _inputs_of(argument) if _is_outside(name, argument, output)]
        if not names:
            raise ValueError(f"there is no image or video in {argument}")
        inputs.update(dict.fromkeys(names))
    below = _common_folder(list(inputs))
    return [Input(name, _parent(name).relative_to(below)) for name in inputs]


def _inputs_of(argument: str) -> Iterator[str]:
    path = Path(argument)
    if path.is_dir():
        yield from (file.as_posix() for file in files_below(path) if _is_wanted(file.name))
    elif path.exists() or not glob.has_magic(argument):
        yield path.as_posix()  # a missing file too: it is reported with those that cannot be read
    else:
        for name in sorted(glob.glob(argument, recursive=True)):
            if any(map(is_junk, _matched_parts(argument, name))):
                continue
            if Path(name).is_dir():
                yield from _inputs_of(name)
            elif _is_wanted(name):
                yield Path(name).as_posix()


def _matched_parts(pattern: str, name: str) -> Sequence[str]:
    """The parts of a path that wildcards of a pattern stand for, not the user's own words."""
    words = Path(pattern).parts
    first = next(k for k, word in enumerate(words) if glob.has_magic(word))
    return [part for part in Path(name).parts[first:] if part not in words]


def _is_wanted(name: str) -> bool:
    return is_picture(name) or is_video(name)


def _is_outside(name: str, argument: str, output: Path) -> bool:
    if not Path(argument).is_dir():
        return True
    if output.resolve() == Path(argument).resolve():
        raise ValueError(
            f"--output {output} is the folder of the images; choose another, such as "
            f"{output / 'predictions'}"
        )
    return output.resolve() not in Path(name).resolve().parents


def _common_folder(names: Sequence[str]) -> Path:
    """The deepest folder that holds all of them."""
    parents = [_parent(name) for name in names]
    shared = parents[0]
    while not all(parent.is_relative_to(shared) for parent in parents):
        shared = shared.parent
    return shared


def _parent(name: str) -> Path:
    """The absolute folder of a file as it was named: a link counts by its own place, not its target's."""
    return Path(os.path.abspath(name)).parent


@dataclass
class Work:
    """One process's share of the inputs.

    Attributes:
        arguments: the command's.
        unreadable: (name, reason) of what could not be read.
    """

    model: MaskRCNN
    arguments: argparse.Namespace
    journal: JournalPart
    bar: tqdm
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def run(self, inputs: Sequence[Input]) -> None:
        """Predict all of them; what cannot be read is noted and left out."""
        self._images([source for source in inputs if not source.is_video])
        for source in inputs:
            if source.is_video:
                self._attempt(source.name, partial(self._video, source))

    def _images(self, images: Sequence[Input]) -> None:
        for batch in in_batches(self._read(images), self.arguments.batch_size):
            for (source, pixels), objects in self._predict_batch(batch):
                shown = self._shown(objects)
                if not self.arguments.no_pictures:
                    folder = self.arguments.output / source.folder
                    visualize(source.name, shown, self.arguments.threshold, folder)
                self.journal.add(source.name, pixels.shape[:2], _plain(objects))
                self.bar.update()

    def _read(self, images: Sequence[Input]) -> Iterator[tuple[Input, np.ndarray]]:
        """The images that can be read, a batch ahead."""
        transforms = self.model.test_transforms
        read = partial(
            read_image,
            image_format="BGR",
            num_channels=self.model.params.input_channel,
            keep_values=transforms is not None and transforms.keeps_values,
        )
        jobs = [(source, partial(read, source.name)) for source in images]
        for source, pixels in read_ahead(jobs, self.arguments.batch_size):
            try:
                yield source, pixels.result()
            except (OSError, ValueError) as error:
                self._note(source.name, error)

    def _predict_batch(
        self, batch: Sequence[tuple[Input, np.ndarray]]
    ) -> Iterator[tuple[tuple[Input, np.ndarray], list[dict[str, Any]]]]:
        """A batch, or one by one where one of them does not suit the model's transforms."""
        try:
            objects = self._predict([pixels for _, pixels in batch])
        except ValueError as error:
            if len(batch) == 1:
                self._note(batch[0][0].name, error)
                return
            for entry in batch:
                yield from self._predict_batch([entry])
            return
        yield from zip(batch, objects, strict=True)

    def _video(self, source: Input) -> None:
        video = Video(source.name)
        path = self.arguments.output / source.folder / f"visualize_{Path(source.name).name}"
        file = VideoFile(path, video.pace)
        # the video counted as one input so far
        self.bar.total += max(0, video.num_frames - 1)
        number = 0
        for frames in in_batches(video, self.arguments.batch_size):
            for frame, objects in zip(frames, self._predict(frames), strict=True):
                if not self.arguments.no_pictures:
                    file.add(draw_objects(frame, self._shown(objects)))
                self.journal.add(source.name, frame.shape[:2], _plain(objects), frame=number)
                number += 1
                self.bar.update()
        if number == 0:
            raise ValueError(f"video {source.name!r} has no frame that can be read")
        file.finish()
        self.journal.finish_video(source.name, number)

    def _predict(self, images: list[np.ndarray]) -> list[list[dict[str, Any]]]:
        return self.model.batch_predict(images, **options(self.arguments))

    def _shown(self, objects: Iterable[Any]) -> list[dict[str, Any]]:
        return [
            detection.as_box()
            for detection in objects
            if detection["score"] >= self.arguments.threshold
        ]

    def _attempt(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            self._note(name, error)

    def _note(self, name: str, error: Exception) -> None:
        self.unreadable.append((name, getattr(error, "strerror", None) or str(error)))
        self.bar.update()


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of `batch_predict`."""
    names = ("score_threshold", "batch_size", "tile", "overlap")
    return {name: getattr(arguments, name) for name in names}


def in_batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items, the last one shorter."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def read_ahead(
    jobs: Iterable[tuple[Any, Callable[[], Any]]], ahead: int
) -> Iterator[tuple[Any, Future]]:
    """Keys and results of jobs in their order, done in threads, at most `ahead` before they are wanted."""
    with ThreadPoolExecutor(_READERS) as pool:
        running: deque[tuple[Any, Future]] = deque()
        for key, job in jobs:
            running.append((key, pool.submit(job)))
            if len(running) > ahead:
                yield running.popleft()
        while running:
            yield running.popleft()


def _plain(objects: Iterable[Any]) -> list[dict[str, Any]]:
    """For the journal: RLE masks and their areas."""
    return [{**detection.as_rle(), "mask_area": detection.mask_area} for detection in objects]
