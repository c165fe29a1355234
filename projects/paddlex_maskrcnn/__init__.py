"""Train Mask R-CNN on Detectron2 from YAML files or with the API of PaddleX's ``paddlex.det.MaskRCNN``.

    import paddlex_maskrcnn as pdx
    model = pdx.det.MaskRCNN(num_classes=4)

Names load on first use, so that importing the package costs no torch import.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, det
    from .cli.fit import fit
    from .compat import cv, deploy, transforms, utils
    from .maskrcnn import MaskRCNN, load_model

__version__ = "0.1.0"
__all__ = [
    "MaskRCNN",
    "__version__",
    "cv",
    "datasets",
    "deploy",
    "det",
    "env_info",
    "fit",
    "load_model",
    "log_level",
    "transforms",
    "utils",
]

# PaddleX's: what comes to the screen, 0 errors, 1 warnings too, 2 what happens, 3 everything
log_level = 2

_HOME = {
    "det": (".det", None),
    "datasets": (".datasets", None),
    "MaskRCNN": (".maskrcnn", "MaskRCNN"),
    "fit": (".cli.fit", "fit"),
    "load_model": (".maskrcnn", "load_model"),
    "cv": (".compat.cv", None),
    "deploy": (".compat.deploy", None),
    "transforms": (".compat.transforms", None),
    "utils": (".compat.utils", None),
}
_WITHOUT_DETECTRON2 = ("datasets", "utils")
# names that `import paddlex_maskrcnn.x` knows though the file is elsewhere
_MODULES = {
    "cv": ".compat.cv",
    "cv.datasets": ".datasets",
    "cv.models": ".compat.models",
    "cv.transforms": ".compat.transforms",
    "deploy": ".compat.deploy",
    "transforms": ".compat.transforms",
    "utils": ".compat.utils",
}


def __getattr__(name: str) -> Any:
    if name == "env_info":
        from .compat.utils import get_environ_info

        return get_environ_info()
    if name not in _HOME:
        from .compat.refused import sentence_for

        raise AttributeError(
            sentence_for(name) or f"module {__name__!r} has no attribute {name!r}", name=name
        )
    from .requirements import quiet_detectron2, require_detectron2

    module, attribute = _HOME[name]
    if name not in _WITHOUT_DETECTRON2:
        require_detectron2()
    quiet_detectron2()
    loaded = importlib.import_module(module, __name__)
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    return sorted(__all__)


class _PaddleXModules:
    """`import paddlex_maskrcnn.deploy` and the like; of a module that is refused, the sentence why."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != __name__:
            return None
        if name in _MODULES:
            return ModuleSpec(fullname, _PaddleXModules)  # type: ignore[arg-type]
        from .compat.refused import sentence_for

        if sentence := sentence_for(name):
            raise ImportError(sentence, name=fullname)
        return None

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        name = module.__name__.partition(".")[2]
        # importlib returns what stands here afterwards
        sys.modules[module.__name__] = importlib.import_module(_MODULES[name], __name__)


# last: asked for what nobody else finds
sys.meta_path.append(_PaddleXModules)
