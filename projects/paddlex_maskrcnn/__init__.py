"""Train Mask R-CNN on Detectron2 from YAML files or with the API of PaddleX's ``paddlex.det.MaskRCNN``.

    import paddlex_maskrcnn as pdx
    model = pdx.det.MaskRCNN(num_classes=4)

Names load on first use, so that importing the package costs no torch import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, det
    from .cli.fit import fit
    from .maskrcnn import MaskRCNN, load_model

__version__ = "0.1.0"
__all__ = ["MaskRCNN", "__version__", "datasets", "det", "fit", "load_model"]

_HOME = {
    "det": (".det", None),
    "datasets": (".datasets", None),
    "MaskRCNN": (".maskrcnn", "MaskRCNN"),
    "fit": (".cli.fit", "fit"),
    "load_model": (".maskrcnn", "load_model"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .requirements import quiet_detectron2, require_detectron2

    module, attribute = _HOME[name]
    if name != "datasets":  # which are read without Detectron2
        require_detectron2()
    quiet_detectron2()
    loaded = importlib.import_module(module, __name__)
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    return sorted(__all__)
