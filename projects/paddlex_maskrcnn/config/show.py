"""Settings as text: an experiment with the origin of every value, and docs/hyperparameters.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from . import schema
from .auto import value_of
from .check import AUTO, alternatives
from .dataset_params import DATASETS, DatasetChoice
from .interpolation import steps_of
from .load import LoadedExperiment
from .operator_params import TRANSFORMS
from .params import REQUIRED, default_of, param_of
from .profiles import KEY
from .schema import OperatorLists
from .yaml_io import comments_of, dump

_COLUMN = 60


def show(loaded: LoadedExperiment) -> str:
    """All values, resolved; behind each `# file:line`, `# command line`, `# profile NAME` or `# default`.

    A comment of the file follows its line. Of `auto` there is the value with `# auto: ` and the reason.
    """
    shown = _Shown(loaded)
    lines: list[str] = []
    if loaded.given.get(KEY) is not None:
        origin = loaded.origins.get(KEY, "default")
        lines.append(_line(KEY, loaded.given[KEY], 0, origin))
    for name in ("model", "data", "train", "evaluate", "predict"):
        section = getattr(loaded.experiment, name)
        if section is not None:
            lines.append(f"{name}:")
            lines += shown.data(section) if name == "data" else shown.params(section, name, 1)
    return "\n".join(lines) + "\n"


def as_plain(experiment: Any) -> dict[str, Any]:
    """The experiment as plain data that reads back into the same experiment."""
    plain: dict[str, Any] = {"model": asdict(experiment.model)}
    if plain["model"]["num_classes"] is None:
        del plain["model"]["num_classes"]
    plain["data"] = {"transforms": _operators(experiment.data.transforms)}
    for part in ("train", "eval"):
        choice = getattr(experiment.data, part)
        if choice is not None:
            plain["data"][part] = _plain(choice)
    for name in ("train", "evaluate", "predict"):
        section = getattr(experiment, name)
        if section is not None:
            plain[name] = section_as_plain(section)
    for key in experiment.auto:
        section, name = key.split(".")[0], key.split(".")[-1]
        if section in ("model", "train"):  # operators are as they were written
            plain[section][name] = AUTO
    return plain


def section_as_plain(section: Any) -> dict[str, Any]:
    """What a YAML file can hold of a section."""
    return {this.name: _plain(getattr(section, this.name)) for this in _written(section)}


def _plain(value: Any) -> Any:
    """The value of a row; data sets inside it as mappings of `type` and its arguments."""
    if isinstance(value, DatasetChoice):
        return {"type": value.type, **section_as_plain(value.arguments)}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


def _operators(lists: OperatorLists) -> dict[str, list[dict]]:
    """Section `data.transforms` as it was written."""
    parts = {"train": lists.train, "eval": lists.eval}
    return {part: [choice.as_written() for choice in choices] for part, choices in parts.items()}


def _written(section: Any) -> Iterator[Any]:
    return (this for this in fields(section) if not param_of(this).python_only)


class _Shown:
    """The lines of an experiment, and what stands behind each value."""

    def __init__(self, loaded: LoadedExperiment) -> None:
        self.loaded, self.experiment = loaded, loaded.experiment
        self._comments: dict[str, dict[int, str]] = {}  # file -> line -> comment

    def params(self, section: Any, prefix: str, depth: int) -> Iterator[str]:
        for this in _written(section):
            key = f"{prefix}.{this.name}"
            value = AUTO if key in self.experiment.auto else _plain(getattr(section, this.name))
            yield _line(this.name, value, depth, self.reason(key) or self.origin(key))

    def data(self, section: Any) -> Iterator[str]:
        for part in ("train", "eval"):
            choice = getattr(section, part)
            if choice is not None:
                key = f"data.{part}"
                yield f"  {part}:"
                yield _line("type", choice.type, 2, self.origin(f"{key}.type"))
                yield from self.params(choice.arguments, key, 2)
        yield "  transforms:"
        for part, operators in _operators(section.transforms).items():
            key = f"data.transforms.{part}"
            yield _line(part, operators, 2, "; ".join([self.origin(key), *self.notes(key)]))

    def reason(self, key: str) -> str:
        """Why the value was chosen, empty when somebody wrote it."""
        if key in self.experiment.auto:
            return "decided when training starts"
        return f"{AUTO}: {self.experiment.reasons[key]}" if key in self.experiment.reasons else ""

    def notes(self, prefix: str) -> list[str]:
        """Reasons and comments of the operators of a list, which is shown as one line."""
        notes: dict[str, str] = {}  # by line, so that each is told once
        for key in (*self.experiment.auto, *self.experiment.reasons):
            if key.startswith(f"{prefix}["):
                notes[self.loaded.origins.get(key, key)] = f"{_short(key)} {self.reason(key)}"
        operators = value_of(self.experiment, prefix)
        for key, origin in self.loaded.origins.items():
            comment = self.comment(origin) if key.startswith(f"{prefix}[") else ""
            if comment:
                name = operators[int(steps_of(key)[3])].name
                notes.setdefault(origin, f"{name}: {comment}")
        return list(notes.values())

    def origin(self, key: str) -> str:
        """Where the key was written, and the comment there; an override of a section counts for its keys."""
        origin = _origin(key, self.loaded)
        comment = self.comment(origin)
        return f"{origin}: {comment}" if comment else origin

    def comment(self, origin: str) -> str:
        """What a file has behind a line; empty for what is no `file:line`."""
        file, colon, line = origin.rpartition(":")
        if not colon or not line.isdecimal() or not Path(file).is_file():
            return ""
        if file not in self._comments:
            self._comments[file] = comments_of(Path(file))
        return self._comments[file].get(int(line), "")


def _short(key: str) -> str:
    """Operator and argument of a full key."""
    return key.partition("].")[2]


def _origin(key: str, loaded: LoadedExperiment) -> str:
    if key == "model.num_classes" and key not in loaded.origins:
        return "from the data"
    if key in loaded.profiled:
        return f"profile {loaded.profiled[key]}"
    while key:
        if key in loaded.origins:
            return loaded.origins[key] if "." in key else "default"
        key = key.rpartition(".")[0]
        if loaded.origins.get(key) != "command line":
            break
    return "default"


def _line(name: str, value: Any, depth: int, origin: str) -> str:
    return f"{'  ' * depth}{name}: {dump(value, flow=True)}".ljust(_COLUMN) + f"  # {origin}"


_REFERENCE_HEADER = """# Hyperparameters

Generated by `make docs` from the parameters in `projects/paddlex_maskrcnn/config/` (`schema.py`,
`dataset_params.py`, `operator_params.py`): change it there.

The same names are YAML keys (`model.backbone`), overrides on the command line
(`model.backbone=ResNet18`) and Python arguments (`MaskRCNN(backbone='ResNet18')`).
Parameters marked + are not in PaddleX's document; in Python they are keyword-only.

Where `auto` is allowed, an experiment file or an override may leave the value to the run, which chooses it
([training.md](training.md#values-that-the-run-chooses)); in Python write the value.
"""

_REFERENCE = (
    ("model", schema.ModelParams),
    ("train", schema.TrainParams),
    ("evaluate", schema.EvaluateParams),
    ("predict", schema.PredictParams),
)


def reference_page() -> str:
    """The whole page."""
    parts = [_REFERENCE_HEADER]
    parts += [_reference_section(f"`{name}`", kind, key=f"{name}.") for name, kind in _REFERENCE]
    parts.append(
        "## `data`\n\n`data.train` and `data.eval` are a data set: `type` (CocoDetection unless "
        "said otherwise) and its arguments.\n`data.transforms.train` and `data.transforms.eval` are "
        "lists of operators, `- Name` or `- Name: {argument: value}`.\n"
    )
    parts += [_reference_section(f"Data set `{name}`", kind) for name, kind in DATASETS.items()]
    parts += [_reference_section(f"Operator `{name}`", kind) for name, kind in TRANSFORMS.items()]
    return "\n".join(parts)


def _reference_section(title: str, kind: type, key: str = "") -> str:
    table = "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n"
    return f"## {title}\n\n{kind.__doc__}\n\n{table}{''.join(_param_rows(kind, key))}"


def _param_rows(kind: type, key: str) -> Iterator[str]:
    for this in fields(kind):
        param = param_of(this)
        name = f"`{key}{this.name}`" + (" +" if param.extra else "")
        if param.python_only:
            name = f"`{this.name}` (Python)"
        allowed = param.allowed() + (f", or {AUTO}" if param.auto else "")
        values = name, _type_name(this.type), _shown_default(this), allowed, param.doc
        yield f"| {' | '.join(values)} |\n"


def _type_name(kind: Any) -> str:
    """`int`, `list[int] or None`; a bare | would end a cell of the table."""
    names = (part.__name__ if isinstance(part, type) else str(part) for part in alternatives(kind))
    return f"`{' or '.join(names)}`".replace("typing.", "").replace("NoneType", "None")


def _shown_default(this: Any) -> str:
    value = default_of(this)
    if value is REQUIRED:
        return "required"
    return f"`{dump(value, flow=True)}`"
