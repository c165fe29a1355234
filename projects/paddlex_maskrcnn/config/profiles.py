"""Profiles: named values for parameters that the user leaves alone, `profile: fast` in an experiment file.

What: a profile fills in, what is written wins, and what a run records are the values alone: nothing
after loading knows that there are profiles. A profile says the same on every machine, so that a file
means one experiment. It leaves alone what the user would miss: number and thresholds of detections,
images and their size, the network itself and therefore every pretrained weight.
Origin: ours; what each profile costs and gains is measured in docs/profiles.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .check import ConfigError, Problem, short_repr, suggestion
from .params import default_of
from .schema import Experiment, ModelParams, TrainParams

KEY = "profile"

Params = Mapping[str, Any]

_SECTIONS = {"model": ModelParams, "train": TrainParams}
_PROPOSALS_A_DETECTION = 3


@dataclass(frozen=True)
class ProfileRow:
    """One value of a profile.

    Attributes:
        key: section and parameter.
        value: of that parameter, or a function from what was written in its section to it.
        meaning: the value in words, where it is a function.
        reason: why it is faster and what it costs, one line for people.
    """

    key: str
    value: Any | Callable[[Params], Any]
    reason: str
    meaning: str = ""

    @property
    def name(self) -> str:
        """The parameter without its section."""
        return self.key.partition(".")[2]

    def of(self, given: Params) -> Any:
        """The value beside what was written in the section."""
        return self.value(given) if callable(self.value) else self.value


def _proposals(given: Params) -> int:
    """As many as the detections that are asked for need, from 300 to the parameter's own default."""
    default = _defaults(ModelParams)
    wanted = given.get("keep_top_k", default["keep_top_k"])
    if not isinstance(wanted, int):  # a mistake, which is told when the parameters are checked
        wanted = default["keep_top_k"]
    return max(300, min(_PROPOSALS_A_DETECTION * wanted, default["test_post_nms_top_n"]))


PROFILES: dict[str, tuple[ProfileRow, ...]] = {
    "default": (),
    "fast": (
        ProfileRow(
            "model.rcnn_batch_size_per_im",
            128,
            "The heads train on fewer regions an image; the mask head's work falls most. Rare "
            "classes and crowded images are seen less often in a step.",
        ),
        ProfileRow(
            "model.test_post_nms_top_n",
            _proposals,
            "Fewer regions go through the box head when predicting. Objects that the RPN ranks "
            "behind them are lost.",
            meaning="3 x keep_top_k, from 300 to 1000",
        ),
    ),
}  # fmt: skip


def profile(name: str, section: str = "model", /, **given: Any) -> dict[str, Any]:
    """Arguments for `MaskRCNN(...)` or `train(...)`: those given, and what the profile adds to them.

    Args:
        name: default or fast.
        section: `model`, the constructor's arguments, or `train`, those of `train`.
        given: arguments that you choose yourself; they win.

    Raises:
        ConfigError: (a ValueError) for a profile or section that does not exist.
    """
    problem = _unknown("profile", name, PROFILES) or _unknown("section", section, _SECTIONS)
    if problem:
        raise ConfigError([problem])
    params = (param for param in PROFILES[name] if param.key.startswith(f"{section}."))
    return given | {param.name: param.of(given) for param in params if param.name not in given}


def fill_in(
    given: Mapping[str, Any], origin: str, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, str]]:
    """An experiment's sections with what its profile adds, and full key -> profile of what it added.

    Args:
        given: plain data as written, key `profile` included.
        origin: where that key was written.
        problems: extended when there is no such profile.
    """
    sections = {key: value for key, value in given.items() if key != KEY}
    if KEY not in given:
        return sections, {}
    name = given[KEY]
    if problem := _unknown(KEY, name, PROFILES, origin):
        problems.append(problem)
        return sections, {}
    added = {}
    for param in PROFILES[name]:
        section = param.key.partition(".")[0]
        written = _mapping(sections, section)
        if written is not None and param.name not in written:
            sections[section] = {**written, param.name: param.of(_mapping(given, section) or {})}
            added[param.key] = name
    return sections, added


def filled_again(experiment: Experiment, profiled: Mapping[str, str]) -> Experiment:
    """The experiment with a profile's values anew, after others that they depend on have changed.

    Args:
        profiled: full key -> profile, of what `fill_in` has added.
    """
    for key, name in profiled.items():
        row = next(row for row in PROFILES[name] if row.key == key)
        section = key.partition(".")[0]
        params = getattr(experiment, section)
        changed = replace(params, **{row.name: row.of(vars(params))})
        experiment = replace(experiment, **{section: changed})
    return experiment


def without_effect(name: str, sections: Mapping[str, Any], added: Collection[str]) -> str:
    """Why a profile changes nothing, in words; empty when it does, or means nothing.

    Args:
        name: of a profile.
        sections: the experiment's, filled in.
        added: full keys of the parameters that have their value from the profile.
    """
    reasons = []
    for param in PROFILES[name]:
        section = param.key.partition(".")[0]
        default = _defaults(_SECTIONS[section])[param.name]
        value = (_mapping(sections, section) or {}).get(param.name, default)
        if param.key in added and value != default:
            return ""
        reasons.append(f"{param.key} {'stays' if param.key in added else 'is given as'} {value}")
    return " and ".join(reasons)


def _mapping(sections: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A section as a mapping; None when it is none, or a run that nobody asked for."""
    value = sections.get(name)
    if value is None and (name == "model" or name in sections):
        return {}
    return value if isinstance(value, Mapping) else None


def _unknown(
    key: str, value: object, choices: Mapping[str, object], origin: str = ""
) -> Problem | None:
    if isinstance(value, str) and value in choices:
        return None
    given = "is empty" if value is None else f"is {short_repr(value)}"
    text = f"{given}; choose one of {', '.join(choices)}{suggestion(value, choices)}"
    return Problem(key, text, origin)


def _defaults(kind: type) -> dict[str, Any]:
    return {this.name: default_of(this) for this in fields(kind)}
