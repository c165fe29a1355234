"""An experiment as YAML text in which every line says where its value came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from .dataset_params import DatasetChoice
from .load import LoadedExperiment
from .params import param_of
from .profiles import KEY
from .schema import OperatorLists
from .yaml_io import dump

_COLUMN = 60


def show(loaded: LoadedExperiment) -> str:
    """All values, resolved; behind each `# file:line`, `# command line`, `# profile NAME` or `# default`."""
    experiment = loaded.experiment
    lines: list[str] = []
    if loaded.given.get(KEY) is not None:
        lines.append(_line(KEY, loaded.given[KEY], 0, loaded.places.get(KEY, "default")))
    for name in ("model", "data", "train", "evaluate", "predict"):
        section = getattr(experiment, name)
        if section is not None:
            lines.append(f"{name}:")
            lines += _data(section, loaded) if name == "data" else _params(section, name, 1, loaded)
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


def _params(section: Any, prefix: str, depth: int, loaded: LoadedExperiment) -> Iterator[str]:
    for this in _written(section):
        key = f"{prefix}.{this.name}"
        yield _line(this.name, _plain(getattr(section, this.name)), depth, _place(key, loaded))


def _data(section: Any, loaded: LoadedExperiment) -> Iterator[str]:
    for part in ("train", "eval"):
        choice = getattr(section, part)
        if choice is not None:
            key = f"data.{part}"
            yield f"  {part}:"
            yield _line("type", choice.type, 2, _place(f"{key}.type", loaded))
            yield from _params(choice.arguments, key, 2, loaded)
    yield "  transforms:"
    for part in ("train", "eval"):
        place = _place(f"data.transforms.{part}", loaded)
        yield _line(part, _operators(section.transforms)[part], 2, place)


def _place(key: str, loaded: LoadedExperiment) -> str:
    """Where the key was written; an override of a whole section counts for its keys."""
    if key == "model.num_classes" and key not in loaded.places:
        return "from the data"
    if key in loaded.profiled:
        return f"profile {loaded.profiled[key]}"
    while key:
        if key in loaded.places:
            return loaded.places[key] if "." in key else "default"
        key = key.rpartition(".")[0]
        if loaded.places.get(key) != "command line":
            break
    return "default"


def _line(name: str, value: Any, depth: int, place: str) -> str:
    return f"{'  ' * depth}{name}: {dump(value, flow=True)}".ljust(_COLUMN) + f"  # {place}"
