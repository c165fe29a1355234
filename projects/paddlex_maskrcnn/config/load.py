"""A YAML experiment file and `key=value` overrides to a checked `Experiment`.

Nothing is built here: a file is right or wrong before torch is imported.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from . import auto, profiles, schema, yaml_io
from .check import ConfigError, Problem, check_section, short_repr, suggestion, without_retired
from .dataset_params import DATASETS, JOINED, DatasetChoice
from .interpolation import resolve, steps_of
from .operator_params import TRANSFORMS, OperatorChoice, recipe
from .params import param_of

logger = logging.getLogger(__name__)

_MOST_VALUES = 20_000  # of an experiment file
_SHIPPED = Path(__file__).parent.parent / "configs"


@dataclass
class LoadedExperiment:
    """An experiment, what was written, and where.

    Attributes:
        experiment: the checked sections.
        given: the raw values as written, interpolations resolved.
        origins: full key -> "file:line" or "command line", for every key that was written.
        profiled: full key -> profile, for every parameter that has its value from one.
    """

    experiment: schema.Experiment
    given: dict[str, Any]
    origins: dict[str, str] = field(default_factory=dict)
    profiled: dict[str, str] = field(default_factory=dict)


def load_experiment(
    path: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> LoadedExperiment:
    """Read, override, resolve and check an experiment.

    Args:
        path: a YAML file, or the name of one that comes with the package.
        overrides: `section.key=value` texts (`profile=name` too); the value is read as YAML.

    Raises:
        ConfigError: with every problem found, its key, line and remedy.
        FileNotFoundError: when there is no such file.
    """
    file = find_config(path)
    given, lines = yaml_io.read(file, _MOST_VALUES)
    origins = {key: f"{file}:{line}" for key, line in lines.items()}
    problems = _override(given, origins, overrides)
    given = resolve(given, origins, problems)
    sections, profiled = profiles.fill_in(given, origins.get(profiles.KEY, ""), problems)
    experiment = check_experiment(sections, origins, problems)
    if problems or experiment is None:
        # the first problem of a key: what cannot be resolved is also a wrong value afterwards
        first: dict[str, Problem] = {}
        for problem in problems:
            first.setdefault(problem.key, problem)
        raise ConfigError(sorted(first.values(), key=_line))
    name = given.get(profiles.KEY, "default")
    if why := profiles.without_effect(name, sections, profiled):
        logger.warning("profile %s has no effect: %s", name, why)
    return LoadedExperiment(experiment, given, origins, profiled)


def with_choices(loaded: LoadedExperiment, choices: Mapping[str, auto.Choice]) -> LoadedExperiment:
    """The same with values in place of `auto`; what a profile derives from these follows them."""
    experiment = auto.resolved(loaded.experiment, choices)
    experiment = profiles.filled_again(experiment, loaded.profiled)
    return replace(loaded, experiment=experiment)


def shipped_configs() -> dict[str, Path]:
    """The experiment files that come with the package, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.yaml"))}


def find_config(path: str | os.PathLike[str]) -> Path:
    """An experiment file by its path, or by the name of one that comes with the package.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    file, shipped = Path(path), shipped_configs()
    if file.is_file() or file.suffix:
        return file
    if str(path) in shipped:
        return shipped[str(path)]
    raise FileNotFoundError(
        f"there is no configuration file {path}, and none of that name comes with the package: "
        f"{', '.join(shipped)}{suggestion(str(path), tuple(shipped))}"
    )


def _line(problem: Problem) -> tuple[bool, int]:
    """From the first line of the file to the last; what is on the command line comes after."""
    line = problem.origin.rpartition(":")[2]
    return not line.isdecimal(), int(line) if line.isdecimal() else 0


def check_experiment(
    given: Mapping[str, Any], origins: Mapping[str, str], problems: list[Problem]
) -> schema.Experiment | None:
    """The experiment in plain data, or None with `problems` extended."""
    before = len(problems)
    for section in given.keys() - set(schema.SECTIONS):
        text = f"is not a section; choose one of {', '.join(schema.SECTIONS)}"
        text += _home_of(section) or suggestion(section, (*schema.SECTIONS, profiles.KEY))
        problems.append(Problem(str(section), text, origins.get(str(section), "")))
    reader = _Sections(given, origins, problems)
    model = reader.section("model", schema.ModelParams)
    data = reader.data()
    train = reader.train()
    evaluate = reader.section("evaluate", schema.EvaluateParams, eval_dataset=None)
    predict = reader.section("predict", schema.PredictParams)
    if model is not None and "num_classes" not in reader.mapping_of("model"):
        # left out of a file it comes from the data; the default is that of PaddleX's constructor
        model.num_classes = None
    if len(problems) > before:
        return None
    experiment = schema.Experiment(
        model=model, data=data, train=train, evaluate=evaluate, predict=predict,
        auto=tuple(reader.auto),
    )  # fmt: skip
    problems += auto.unusable(experiment, origins)
    return experiment


_PARAMS = {
    "model": schema.ModelParams, "train": schema.TrainParams, "evaluate": schema.EvaluateParams,
    "predict": schema.PredictParams,
}  # fmt: skip


def _home_of(name: str) -> str:
    """The full key of a parameter that was written without its section."""
    keys = [
        f"{section}.{this.name}"
        for section, kind in _PARAMS.items()
        for this in fields(kind)
        if this.name == name and not param_of(this).python_only
    ]
    return f"; did you mean {' or '.join(map(repr, keys))}?" if keys else ""


class _Sections:
    """Reads one section after the other and collects their problems."""

    def __init__(
        self, given: Mapping[str, Any], origins: Mapping[str, str], problems: list[Problem]
    ) -> None:
        self.given, self.origins, self.problems = given, origins, problems
        self.auto: list[str] = []  # keys whose value the run chooses

    def locate(self, key: str) -> str:
        return self.origins.get(key, "")

    def mapping(self, key: str, value: Any) -> dict[str, Any]:
        """The value as a mapping; None (an empty section) is one too."""
        if value is None or isinstance(value, Mapping):
            return dict(value or {})
        text = f"is {short_repr(value)}; allowed: a mapping of keys to values"
        self.problems.append(Problem(key, text, self.locate(key)))
        return {}

    def mapping_of(self, name: str) -> Mapping[str, Any]:
        """What was written in a section, nothing when that is no mapping."""
        value = self.given.get(name)
        return value if isinstance(value, Mapping) else {}

    def section(self, name: str, kind: type, **python_only: Any) -> Any:
        """A section whose keys are the parameters of `kind`."""
        return self.checked(kind, self.mapping(name, self.given.get(name)), name, python_only)

    def checked(
        self, kind: type, values: dict, prefix: str, python_only: dict | None = None
    ) -> Any:
        for key in [key for key in values if _python_only(kind, key)]:
            text = "can only be given in Python"
            self.problems.append(Problem(f"{prefix}.{key}", text, self.locate(f"{prefix}.{key}")))
            values.pop(key)
        section, problems = check_section(
            kind, {**values, **(python_only or {})}, f"{prefix}.", self.locate, self.auto
        )
        self.problems += problems
        return section

    def train(self) -> Any:
        """Section train; an experiment without one can only evaluate and predict."""
        if "train" not in self.given:
            return None
        return self.section("train", schema.TrainParams, train_dataset=None)

    def data(self) -> schema.DataParams:
        """Section data: two data sets and two lists of operators."""
        values = self.mapping("data", self.given.get("data"))
        keys = ("train", "eval", "transforms")
        for key in values.keys() - set(keys):
            text = f"is not a known key{suggestion(key, keys)}"
            self.problems.append(Problem(f"data.{key}", text, self.locate(f"data.{key}")))
        return schema.DataParams(
            train=self.dataset("data.train", values.get("train")),
            eval=self.dataset("data.eval", values.get("eval")),
            transforms=self.transforms(values.get("transforms")),
        )

    def dataset(self, prefix: str, value: Any) -> DatasetChoice | None:
        """A data set; a list of them is one joined set."""
        if value is None:
            return None
        if isinstance(value, list):
            return self.joined({"parts": value}, prefix, prefix)
        values = self.mapping(prefix, value)
        kind = values.pop("type", "CocoDetection")
        if not isinstance(kind, str) or kind not in DATASETS:
            text = f"is {short_repr(kind)}; choose one of {', '.join(DATASETS)}"
            text += suggestion(kind, DATASETS)
            self.problems.append(Problem(f"{prefix}.type", text, self.locate(f"{prefix}.type")))
            return None
        if kind == JOINED:
            return self.joined(values, prefix, f"{prefix}.parts")
        return self.choice(kind, values, prefix)

    def joined(self, values: dict, prefix: str, parts: str) -> DatasetChoice:
        """Several data sets; `parts` is the key that holds their list."""
        given = values.get("parts")
        if "parts" in values and not _is_list_of_mappings(given):
            text = f"is {short_repr(given)}; allowed: a list of mappings"
            self.problems.append(Problem(parts, text, self.locate(parts)))
            return DatasetChoice(type=JOINED, arguments=None)
        if given == []:
            text = "is []; allowed: at least one data set"
            self.problems.append(Problem(parts, text, self.locate(parts)))
            return DatasetChoice(type=JOINED, arguments=None)
        if given is not None:
            choices = [self.dataset(f"{parts}[{k}]", part) for k, part in enumerate(given)]
            values = {**values, "parts": choices}
        return self.choice(JOINED, values, prefix)

    def choice(self, kind: str, values: dict, prefix: str) -> DatasetChoice:
        arguments = self.checked(DATASETS[kind], values, prefix)
        if prefix == "data.train" and arguments is not None and "shuffle" not in values:
            # the default in Python is PaddleX's, which its scripts rely on
            arguments.shuffle = True
        return DatasetChoice(type=kind, arguments=arguments)

    def transforms(self, value: Any) -> schema.OperatorLists:
        lists = schema.OperatorLists()
        for name, operators in self.mapping("data.transforms", value).items():
            key = f"data.transforms.{name}"
            if name not in ("train", "eval"):
                text = f"is not a known key{suggestion(name, ('train', 'eval'))}"
                self.problems.append(Problem(key, text, self.locate(key)))
            elif not isinstance(operators, list) or not operators:
                text = f"is {short_repr(operators)}; allowed: a list of operators"
                self.problems.append(Problem(key, text, self.locate(key)))
            else:
                checked = [
                    self.operator(f"{key}[{i}]", operator) for i, operator in enumerate(operators)
                ]
                setattr(lists, name, [choice for choice in checked if choice is not None])
        return lists

    def operator(self, key: str, value: Any) -> OperatorChoice | None:
        """An operator: its name alone, or {name: arguments}."""
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, Mapping) or len(value) != 1:
            text = f"is {short_repr(value)}; allowed: '- Name' or '- Name: {{argument: value}}'"
            self.problems.append(Problem(key, text, self.locate(key)))
            return None
        ((name, arguments),) = value.items()
        if name not in TRANSFORMS:
            text = f"is {short_repr(name)}; choose one of {', '.join(TRANSFORMS)}"
            text += suggestion(name, TRANSFORMS)
            self.problems.append(Problem(key, text, self.locate(key)))
            return None
        kind, prefix = TRANSFORMS[name], f"{key}.{name}"
        given = self.mapping(prefix, arguments)
        given = without_retired(kind, given, f"{prefix}.", self.locate)
        arguments = self.checked(kind, dict(given), prefix)
        return OperatorChoice(name=name, arguments=arguments, given=given)


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value)


def _python_only(kind: type, key: str) -> bool:
    this = getattr(kind, "__dataclass_fields__", {}).get(key)
    return this is not None and this.metadata["param"].python_only


def _override(given: dict, origins: dict[str, str], overrides: Sequence[str]) -> list[Problem]:
    """Write the overrides into `given`; what cannot be written."""
    problems = []
    for text in overrides:
        written, equals, value = text.partition("=")
        path = steps_of(written)
        if not equals or not path:
            remedy = "is not of the form section.key=value"
            problems.append(Problem(text, remedy, "command line"))
            continue
        try:
            key = _write(given, path, yaml_io.parse_value(value))
        except (TypeError, ValueError) as error:
            problems.append(Problem(written, f"cannot be set: {error}", "command line"))
            key = written
        for old in [k for k in origins if k == key or k.startswith((f"{key}.", f"{key}["))]:
            del origins[old]
        origins[key] = "command line"
    return problems


def _write(given: dict, path: list[str], value: Any) -> str:
    """Set what a path means: keys, and in lists a number or the name of an operator; returns the full key."""
    here: Any = given
    key = ""
    if path[:2] == ["data", "transforms"] and len(path) > 3:
        _write_out_recipe(given, path[2])
    for depth, name in enumerate(path):
        is_last = depth == len(path) - 1
        if isinstance(here, list):
            index = _index(here, name, key)
            key += f"[{index}]"
            if name.isdecimal():
                if is_last:
                    here[index] = value
                else:
                    here = here[index]
                continue
            if not isinstance(here[index], dict):
                here[index] = {name: {}}  # an operator without arguments
            here = here[index]
        elif not isinstance(here, dict):
            raise TypeError(f"{key} holds a value, not keys")
        key = f"{key}.{name}" if key else name
        if is_last:
            here[name] = value
        else:
            if here.get(name) is None:
                here[name] = {}
            here = here[name]
    return key


def _index(entries: list, name: str, key: str) -> int:
    """Where in a list an entry is: by its number from 0, or by the name of an operator."""
    if name.isdecimal():
        if int(name) >= len(entries):
            raise ValueError(f"{key} has {len(entries)} entries, counted from 0")
        return int(name)
    names = [next(iter(entry)) if isinstance(entry, dict) and entry else entry for entry in entries]
    if names.count(name) == 1:
        return names.index(name)
    if name in names:
        raise ValueError(f"{key} has {name} more than once; write {key}[NUMBER].{name}")
    listed = ", ".join(map(str, names))
    raise ValueError(f"{key} has no {name}, but {listed}{suggestion(name, map(str, names))}")


def _write_out_recipe(given: dict, mode: str) -> None:
    """The operators that a file gets that lists none, so that an override can change them."""
    if mode in ("train", "eval"):
        data = given.get("data") or {}
        lists = data.get("transforms") or {}
        if isinstance(lists, dict) and lists.get(mode) is None:
            usual = recipe(mode)
            lists = {**lists, mode: [{usual.name: dict(usual.given)}]}
            given["data"] = {**data, "transforms": lists}
