"""Detectron2, the one requirement that no package index serves under its own name."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

INSTALL_COMMAND = "python -m paddlex_maskrcnn install-detectron2"

# The wheel and its hash: the only place that names them.
DETECTRON2_REQUIREMENT = Path(__file__).with_name("detectron2-requirement.txt")


def require_detectron2() -> None:
    """Check that Detectron2 can be imported.

    Raises:
        ModuleNotFoundError: when it cannot, with the line that installs it.
    """
    if importlib.util.find_spec("detectron2") is None:
        raise ModuleNotFoundError(
            f"paddlex_maskrcnn stands on Detectron2, which is not installed. Install it with:\n"
            f"    {INSTALL_COMMAND}",
            name="detectron2",
        )


def quiet_detectron2() -> None:
    """Silence four messages of torch about how Detectron2 is written, and how gradients lie in memory.

    It scripts functions when it is imported, asks torch.fx whether it is being traced, and calls
    meshgrid without `indexing`. With several processes gradients of 1x1 convolutions on channels-last
    features have other strides than their weights, for the same order in memory. Nothing here depends
    on these, and no user can act on them.
    """
    tracing = logging.getLogger("torch.fx._symbolic_trace")
    tracing.addFilter(lambda record: "is_fx_tracing" not in record.getMessage())
    for message in (
        "`torch.jit.script` is deprecated",
        "torch.meshgrid: in an upcoming release",
        "Grad strides do not match bucket view strides",
    ):
        warnings.filterwarnings("ignore", message=message)
