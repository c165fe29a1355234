"""What all operators share: they can be written down as a name with arguments, and read back."""

import inspect
from typing import Any


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

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.to_config().items())
        return f"{type(self).__name__}({arguments})"


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
