"""matplotlib without its global state: figures that are drawn, written and forgotten.

It is imported when something is drawn: on a new machine it first looks for fonts, for seconds.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Arial Unicode MS",
)  # fmt: skip
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def readable_names() -> Iterator[None]:
    """Fonts for class names in any script that an installed font has."""
    import matplotlib
    from matplotlib import font_manager

    installed = {one.name for one in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _SCRIPTS if name in installed)]
    with matplotlib.rc_context({"font.family": families, "axes.unicode_minus": False}):
        yield


def save(figure: Figure, path: Path, dpi: int = 200) -> Path:
    """Write a PNG, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():  # a name in a script that no font here has is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=dpi)
    return path


def file_name(text: str) -> str:
    """A class name as part of a file name."""
    return _NOT_IN_NAMES.sub("_", text).strip()[:100] or "_"
