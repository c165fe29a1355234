"""The package as a tree, one line a file: what CONTRIBUTING.md shows.

python tests/support/tree.py    # writes it there
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- tree -->\n", "<!-- end of tree -->"
_WIDTH = 118


def tree() -> str:
    """Files of the package in folders, each with the first sentence of its docstring."""
    package = ROOT / "projects" / "paddlex_maskrcnn"
    lines = [f"{package.name}/"]
    for path in sorted(package.rglob("*.py"), key=_in_order):
        parts = path.relative_to(package).parts
        indent = "    " * len(parts)
        if path.name == "__init__.py":
            if len(parts) > 1:
                lines.append(_line("    " * (len(parts) - 1) + f"{parts[-2]}/", path))
        elif path.name != "__main__.py":
            lines.append(_line(indent + path.name, path))
    return "```\n" + "\n".join(lines) + "\n```\n"


def page_with_tree(page: str) -> str:
    """The page with the tree as it is now between its marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + tree() + END + rest.partition(END)[2]


def _in_order(path: Path) -> tuple[tuple[bool, str], ...]:
    """A folder's own files before the folders in it, `__init__.py` first."""
    *folders, name = path.parts
    return (*((True, folder) for folder in folders), (False, name))


def _line(start: str, path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split()).replace("``", "")
    sentence = first.split(". ")[0].rstrip(".")
    line = f"{start:<34} {sentence}"
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1].rsplit(" ", 1)[0] + " …"


if __name__ == "__main__":
    PAGE.write_text(page_with_tree(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
