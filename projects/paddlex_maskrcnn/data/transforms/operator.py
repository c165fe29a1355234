"""What all operators share: they can be written down as a name with arguments, and read back."""

import inspect
from typing import Any

from .setting import Setting


class Operator:
    """Base of all transforms.

    An operator keeps each constructor argument in an attribute of the same name; from that follow
    `to_config` and the rebuilding of a pipeline from a saved model. Operators that change pixels
    or geometry are Detectron2 augmentations as well; `Normalize` and `Padding` only declare what
    the model does on its device.
    """

    def to_config(self) -> dict[str, Any]:
        """The constructor arguments, as plain values."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: _plain(getattr(self, name)) for name in names if name != "self"}

    def deterministic(self) -> "Operator | None":
        """The form for prediction, where nothing is random; None if nothing remains."""
        return self

    def check(self, setting: Setting) -> None:
        """Raise ValueError when this cannot work on the images of a run."""
        return

    def largest_zoom(self, height: int, width: int) -> float | None:
        """For an operator that resizes to a size of its own: the most it enlarges such an image.

        Below one it always shrinks. None for all others.
        """
        return None

    def smallest_size(self, height: int, width: int) -> tuple[int, int] | None:
        """Smallest (height, width) that may come out for such an image, in pixels.

        None if what it does is measured in pixels, so that it has to see the file's own.
        """
        return height, width

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.to_config().items())
        return f"{type(self).__name__}({arguments})"


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
