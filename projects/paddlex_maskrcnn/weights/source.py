"""The setting `pretrain_weights` as parameters under Detectron2's names and their input format."""

from __future__ import annotations

from pathlib import Path

from .cache import fetch
from .catalogue import KINDS, find_entry
from .format_beside import format_of_detectron2_file
from .input_format import InputFormat
from .layouts import find_layout, without_wrapper
from .paddlex_model import is_paddlex_model, read_paddlex_model
from .readers import as_tensors, read_file
from .weight_source import WeightSource as WeightSource


def open_weights(
    pretrain_weights: str | None, backbone: str, with_fpn: bool = True
) -> WeightSource | None:
    """The source behind the setting `pretrain_weights`; None for random weights.

    Args:
        pretrain_weights: a kind of the catalogue, the path of a weight file or of a folder that
            PaddleX saved, or None.
        backbone: whose weights a kind means.
        with_fpn: whether the network has a feature pyramid; a kind may depend on it.

    Raises:
        ValueError: when there is no such source, or its layout is not known.
    """
    if pretrain_weights is None:
        return None
    if pretrain_weights in KINDS:
        entry = find_entry(backbone, pretrain_weights, with_fpn)
        found = open_file(fetch(entry), entry.input_format)
        return WeightSource(entry.name, found.state, entry.input_format)
    path = Path(pretrain_weights)
    if not path.exists():
        raise ValueError(
            f"pretrain_weights is {pretrain_weights!r}: neither {' nor '.join(KINDS)} nor a file "
            "or saved model that exists; null means random weights"
        )
    return open_file(path)


def open_file(path: Path, input_format: InputFormat | None = None) -> WeightSource:
    """The weights of a file or folder of any known kind.

    Args:
        path: of the file or folder.
        input_format: how images must look, where it is known; otherwise the file has to say it.

    Raises:
        ValueError: when it cannot be read, or its layout or input format is not known.
    """
    if is_paddlex_model(path):
        return read_paddlex_model(path).source
    file = read_file(path)
    arrays = without_wrapper(file.arrays)
    layout = find_layout(arrays, str(path))
    form = input_format or layout.input_format(arrays)
    if form is None:
        form = format_of_detectron2_file(path, file.author)
    return WeightSource(str(path), as_tensors(layout.convert(arrays)), form)
