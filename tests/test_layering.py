"""Imports go one way: the table of rooms of the design, checked on the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import tree

PACKAGE = "paddlex_maskrcnn"
ROOT = Path(__file__).parents[1] / "projects" / PACKAGE
HEAVY = {"torch", "torchvision", "detectron2", "cv2", "pycocotools", "timm"}

# what a constructor of `data` takes: parameters, their check, the decorator that reads them
DECLARATIONS = {
    f"config.{name}"
    for name in ("check", "dataset_params", "params", "signature", "signatures", "operator_params")
}
# every YAML file is read with its limits
YAML = "config.yaml_io"
# the facts that a run chooses values by (`auto`)
FACTS = "config.auto_rules"

# room (longest prefix wins) -> (rooms of ours it may import, outside packages it may not)
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "__init__": ({"requirements", "datasets", "det", "maskrcnn", "cli.fit", "compat"}, HEAVY),
    "__main__": ({"cli"}, HEAVY),
    "requirements": (set(), HEAVY),
    "errors": (set(), HEAVY),
    "garbage_collection": (set(), HEAVY),
    "system": (set(), HEAVY - {"cv2"}),
    "progress": (set(), HEAVY),
    "config": ({"config"}, HEAVY),
    "config.translate": ({"config"}, HEAVY - {"detectron2"}),
    "data": (
        {"data", "garbage_collection", "system", "progress", YAML, FACTS} | DECLARATIONS,
        set(),
    ),
    "modeling": ({"modeling"}, set()),
    "modeling.samplers": ({"modeling.registries"}, {"detectron2"}),
    "modeling.nms": ({"modeling.registries"}, {"detectron2"}),
    "modeling.losses": (set(), {"detectron2"}),
    "acceleration": ({"acceleration", "modeling"}, set()),
    "weights": ({"weights", YAML}, {"detectron2"}),
    "processes": ({"system"}, set()),
    "inference": (
        {"inference", "acceleration", "config", "data", "metrics", "modeling", "weights"}
        | {"processes", "progress", "errors", "__init__"},
        set(),
    ),
    "engine": (
        {"engine", "inference", "acceleration", "config", "data", "metrics", "modeling", "weights"}
        | {"processes", "progress", "system", "errors", "__init__"},
        set(),
    ),
    "metrics": ({"metrics", "garbage_collection"}, {"detectron2", "torch", "torchvision", "cv2"}),
    "report": ({"report", "data", "metrics", YAML}, {"detectron2", "torch"}),
    "maskrcnn": (
        {"config", "data", "engine", "inference", "export", "metrics", "__init__"},
        {"detectron2", "torch"},
    ),
    "serve": (
        {"serve", "data", "maskrcnn", "inference.predict", "inference.tiling", "__init__"},
        set(),
    ),
    "serve.limits": (set(), HEAVY | {"fastapi"}),  # the command line reads it
    "export": ({"export", "acceleration", "data", "inference", "modeling", "__init__"}, set()),
    "det": ({"maskrcnn", "config", "data", "inference", "report", "compat.refused"}, HEAVY),
    "datasets": ({"data", "compat.refused", "compat.analysis"}, HEAVY),
    # PaddleX's other names; nothing but the places where PaddleX has them and the command line asks here
    "compat": (
        {"compat", "maskrcnn", "datasets", "config", "data", "inference", "export", "report"}
        | {"weights.download"},
        set(),
    ),
    "compat.refused": (set(), HEAVY),
    "compat.command": (set(), HEAVY),
    "draft": ({"config", "data", "system", "weights.choice"}, HEAVY),
    "cli": (
        {
            "cli",
            "compat.command",
            "config",
            "data",
            "datasets",
            "inference.interop",
            "inference.published",
            "processes",
            "progress",
            "system",
            "engine.logs",
            "engine.run_folder",
            "export",
            "report",
            "__init__",
            "maskrcnn",
            "serve",
            "draft",
            "weights.choice",
        }
        | {"requirements", "errors"},
        HEAVY,
    ),
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__") or "__init__", path


def room_of(module: str) -> str:
    parts = module.split(".")
    for size in range(len(parts), 0, -1):
        room = ".".join(parts[:size])
        if room in ROOMS:
            return room
    raise AssertionError(f"{module} stands in no room of the table; give it one")


def imports(module: str, path: Path) -> Iterator[str]:
    """Full names of what a file imports, inside functions too, type-checking blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    package = [PACKAGE, *module.split(".")] if module != "__init__" else [PACKAGE]
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if node in hints:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def ours(name: str) -> str | None:
    """The module of ours that a full name is in, None for names from outside."""
    if not (name + ".").startswith(PACKAGE + "."):
        return None
    parts = name.split(".")[1:]
    while parts:
        if (ROOT.joinpath(*parts).with_suffix(".py")).is_file() or ROOT.joinpath(*parts).is_dir():
            return ".".join(parts)
        parts.pop()
    return "__init__"


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda one: str(one))
def test_imports_go_one_way(module, path):
    allowed, forbidden = ROOMS[room_of(module)]
    for name in imports(module, path):
        target = ours(name)
        if target is None:
            assert name.split(".")[0] not in forbidden, f"{module} may not import {name}"
        else:
            inside = any((target + ".").startswith(room + ".") for room in allowed)
            assert inside, f"{module} may not import {name}"


def test_cfg_is_read_only_by_builders():
    """Detectron2's rule: only from_config and build_* know the cfg."""
    wrong = []
    for module, path in modules():
        if not module.startswith(("modeling", "data")):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and not _is_builder(function.name):
                wrong += [f"{module}.{function.name}"] if _reads_cfg(function) else []
    assert wrong == []


def _is_builder(name: str) -> bool:
    return name == "from_config" or name.lstrip("_").startswith("build_")


def _reads_cfg(function: ast.FunctionDef) -> bool:
    """Whether the function itself (not one nested in it) reads an attribute of `cfg`."""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "cfg"
        for node in ast.walk(function)
    )


def edges() -> dict[str, set[str]]:
    """Module -> modules of ours that it imports, inside functions too."""
    targets = {
        module: {ours(name) for name in imports(module, path)} - {None, module}
        for module, path in modules()
    }
    return {module: {t for t in found if t in targets} for module, found in targets.items()}


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports; empty when there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if circle := walk(target, [*path, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(graph) if (circle := walk(module, []))), [])


def test_imports_have_no_circle():
    assert circle_in(edges()) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


# A network's copy that a tracer follows has its choosing of boxes replaced; torch.compile replaces
# methods while a network trains.
REPLACES_METHODS = {"export.network", "engine.compiled"}
METHODS = {"forward", "inference", "losses", "predict_proposals", "train"}


def exchanged(path: Path) -> list[str]:
    """Assignments that give an object another class or another method."""
    return [
        ast.unparse(target)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr in {"__class__", *METHODS}
    ]


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=str)
def test_what_an_object_is_changes_in_acceleration_only(module, path):
    if not module.startswith("acceleration") and module not in REPLACES_METHODS:
        assert exchanged(path) == []


def test_a_file_is_not_too_long():
    sizes = {
        module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules()
    }
    assert {module: size for module, size in sizes.items() if size > 500} == {}


TESTS = Path(__file__).parent
# modules that are tested in a file of another name
TESTED_IN = {
    "cli.configs": "cli/test_parsing.py",
    "cli.predict_journal": "cli/test_predict.py",
    "cli.predict_run": "cli/test_predict.py",
    "cli.train": "cli/test_commands.py",
    "config.dataset_params": "config/test_schema.py",
    "config.operator_params": "config/test_schema.py",
    "config.params": "config/test_schema.py",
    "engine.checkpoints": "test_resume.py",
    "engine.failures": "engine/test_trainer.py",
    "engine.resume": "test_resume.py",
    "engine.train": "runs/test_kill_and_resume.py",
    "data.source_files": "data/test_source.py",
    "data.source_parts": "data/test_source.py",
    "data.datasets.label_studio_tasks": "data/datasets/test_label_studio.py",
    "errors": "cli/test_commands.py",
    "export.files": "export/test_network.py",
    "inference.interop": "cli/test_import_paddlex.py",
    "serve.limits": "serve/test_app.py",
    "serve.metrics": "serve/test_app.py",
}


def lines_of_code(path: Path) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=str)
def test_a_module_has_its_tests(module, path):
    *folders, name = module.split(".")
    if path.name == "__init__.py" or lines_of_code(path) <= 40:
        return
    own = TESTS.joinpath(*folders, f"test_{name}.py")
    assert own.is_file() or (TESTS / TESTED_IN.get(module, "nowhere")).is_file()


def test_the_list_of_other_names_is_current():
    known = {module for module, _ in modules()}
    assert TESTED_IN.keys() <= known


def test_contributing_shows_every_file():
    page = tree.PAGE.read_text(encoding="utf-8")
    assert page == tree.page_with_tree(page), "run: python tests/support/tree.py"


def test_the_walk_sees_a_forbidden_import(tmp_path):
    """The checks above can fail."""
    path = tmp_path / "rows.py"
    path.write_text("def f():\n    from ..engine import train\n    import torch\n")
    found = set(imports("config.params", path))
    assert found == {f"{PACKAGE}.engine.train", "torch"}
    assert ours(f"{PACKAGE}.engine.train") == "engine.train"
    assert not any(room.startswith("engine") for room in ROOMS["config"][0])
