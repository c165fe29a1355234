"""What is seen from outside while networks run, and stand-ins for libraries that may be missing."""

from __future__ import annotations

import contextlib
import importlib.machinery
import logging
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch
from detectron2.modeling import Backbone, GeneralizedRCNN
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


class Watch:
    """What happened inside of a block: log lines, batches that entered a network, precisions.

    Attributes:
        messages: of the package's loggers.
        batches: the input dicts of each call of a network, as training makes them.
        together: images that entered a backbone at once, backbones in backbones counted too.
        precisions: data types of what convolutions returned while a network trained.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.together: list[int] = []
        self.precisions: set[torch.dtype] = set()

    @property
    def text(self) -> str:
        """All log lines."""
        return "\n".join(self.messages)

    @property
    def files(self) -> list[str]:
        """Image files that entered a network, in their order."""
        return [sample["file_name"] for batch in self.batches for sample in batch]

    def before_forward(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, GeneralizedRCNN):
            self.batches.append(inputs[0])
        if isinstance(module, Backbone):
            self.together.append(len(inputs[0]))

    def after_forward(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Conv2d) and module.training:
            self.precisions.add(output.dtype)


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch while the block runs."""
    watch = Watch()
    logger = logging.getLogger("paddlex_maskrcnn")
    handler = logging.Handler()
    handler.emit = lambda record: watch.messages.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    hooks = [
        register_module_forward_pre_hook(watch.before_forward),
        register_module_forward_hook(watch.after_forward),
    ]
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.contextmanager
def installed(name: str, **content: Any) -> Iterator[None]:
    """A library of this name can be imported while the block runs, whether it is there or not."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(content)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


class Scalars:
    """Stands in for the writers of VisualDL and Weights & Biases."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.names: set[str] = set()
        self.closed = False

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.names.add(tag)

    def log(self, values: dict[str, float], step: int) -> None:
        self.names.update(values)

    def close(self) -> None:
        self.closed = True

    finish = close
