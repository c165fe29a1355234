"""The value `auto` of an experiment file: which parameters have it, and what it stands for in a run.

A file may leave to the run what depends on its data and its machine. `load` takes the word out and notes
the keys in `Experiment.auto`; `choose` applies the rules of `auto_rules`, each topic after those that it
builds on; `resolved` puts the values in, which from then on differ from written ones by their reasons alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any

from . import auto_rules as rules
from .auto_rules import Budget, Choice, DataFacts, Machine
from .check import AUTO, Problem, check_value
from .interpolation import steps_of
from .operator_params import TRANSFORMS, OperatorChoice
from .params import default_of
from .schema import Experiment, ModelParams, OperatorLists, TrainParams

_SHORT_SIZE = "short_size"
_WIDEST = 5 / 3  # width / height of images that memory is reckoned for
# memory of an image in training, in that of a ResNet50 with FPN: Detectron2's model zoo names 3.4 GB for
# that, 4.6 for a ResNet101 and 5.2 without FPN; the others are estimates
_MEMORY = {
    "ResNet18": 0.7, "ResNet50": 1.0, "ResNet50_vd": 1.1, "ResNet50_vd_ssld": 1.1, "ResNet101": 1.4,
    "ResNet101_vd": 1.5, "HRNet_W18": 1.5,
}  # fmt: skip
_MEMORY_WITHOUT_FPN, _MEMORY_WITH_DCN, _MEMORY_IN_16_BITS = 1.5, 1.2, 0.7


@dataclass
class _Question:
    """What a rule can look at; values that were chosen before stand in the experiment already."""

    experiment: Experiment
    facts: DataFacts
    machine: Machine
    budget: Budget | None

    @property
    def train(self) -> TrainParams:
        assert self.experiment.train is not None
        return self.experiment.train

    def asks(self, key: str) -> bool:
        return key in self.experiment.auto


def choose(
    experiment: Experiment, facts: DataFacts, machine: Machine, budget: Budget | None = None
) -> dict[str, Choice]:
    """A value and its reason for each key of `experiment.auto`.

    Values that are written, and those chosen before, count: the rate follows the batch.

    Args:
        budget: how long the run may take; without it the number of steps does not depend on time.
    """
    choices: dict[str, Choice] = {}
    question = _Question(experiment, facts, machine, budget)
    for topic in _TOPICS:
        new = dict(topic(question))
        choices |= new
        question = replace(question, experiment=resolved(question.experiment, new))
    return choices


def resolved(experiment: Experiment, choices: Mapping[str, Choice]) -> Experiment:
    """The experiment with the values in it; their keys are `auto` no longer and have a reason."""
    values = {key: choice.value for key, choice in choices.items()}
    lists = experiment.data.transforms
    operators = {part: _operators(part, getattr(lists, part), values) for part in ("train", "eval")}
    train = experiment.train and replace(experiment.train, **_of_section("train", values))
    return replace(
        experiment,
        model=replace(experiment.model, **_of_section("model", values)),
        data=replace(experiment.data, transforms=OperatorLists(**operators)),
        train=train,
        auto=tuple(key for key in experiment.auto if key not in choices),
        reasons=experiment.reasons | {key: choice.reason for key, choice in choices.items()},
    )


def recorded(
    experiment: Experiment, content: Mapping[str, Any], comments: Mapping[str, str], file: object
) -> dict[str, Choice]:
    """The values that an earlier start of a run wrote down, of the keys that are `auto`.

    Args:
        content: of its config.yaml.
        comments: full key -> what stands behind it there.
        file: named when a value in it cannot be used.

    Raises:
        ValueError: for a value that the parameter does not admit.
    """
    wanted = list(experiment.auto)
    if "train.learning_rate" in wanted and _has_usual_start(experiment):
        wanted.append("train.warmup_start_lr")  # which was chosen with it, perhaps
    choices = {}
    for key in wanted:
        value = value_at(content, key)
        if value is None or value == AUTO:
            continue
        value, message = check_value(_field_of(key), value)
        if message:
            raise ValueError(f"{file}: {key} {message}")
        if key in experiment.auto or value != getattr(experiment.train, "warmup_start_lr", value):
            reason = comments.get(key, "").removeprefix(f"{AUTO}: ")
            choices[key] = Choice(value, reason or f"as in {file}")
    return choices


def unusable(experiment: Experiment, origins: Mapping[str, str]) -> Iterator[Problem]:
    """Keys for which there is no rule in this combination."""
    key, train = "train.learning_rate", experiment.train
    if train is not None and key in experiment.auto and not rules.has_rate(train.optimizer):
        text = (
            f"is {AUTO}, which is for the built-in SGD and for {', '.join(rules.ADAMS)}; with optimizer "
            f"{train.optimizer} write the rate as a number"
        )
        yield Problem(key, text, origins.get(key, ""))


def refuse_open(experiment: Experiment) -> None:
    """Raise RuntimeError for an experiment in which something is still `auto`: its values mean nothing."""
    if experiment.auto:
        raise RuntimeError(f"not resolved before training: {', '.join(experiment.auto)}")


def lines_of(content: Mapping[str, Any], reasons: Mapping[str, str]) -> list[str]:
    """For each value that was chosen a line that says what it is and why.

    Args:
        content: the experiment as plain data.
        reasons: full key -> reason.
    """
    return [f"{key} is {value_at(content, key)}: {reason}" for key, reason in reasons.items()]


def value_of(experiment: Experiment, key: str) -> Any:
    """The value of a full key, `train.num_epochs` or `data.transforms.eval[1].ResizeByShort.short_size`."""
    value: Any = experiment
    for name in steps_of(key):
        if isinstance(value, OperatorChoice):
            value = value.arguments  # its name is the next step
        else:
            value = value[int(name)] if isinstance(value, list) else getattr(value, name)
    return value


def value_at(content: Any, key: str) -> Any:
    """What stands under a full key in plain data; None where it cannot be followed."""
    try:
        for name in steps_of(key):
            content = content[int(name)] if isinstance(content, list) else content[name]
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    return content


def _of_section(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{section}."
    return {
        key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)
    }


def _operators(
    part: str, operators: list[OperatorChoice], values: Mapping[str, Any]
) -> list[OperatorChoice]:
    """The operators of a list with the values in them; one that has none of them stays the same object."""
    changed = []
    for index, operator in enumerate(operators):
        own = _of_section(f"data.transforms.{part}[{index}].{operator.name}", values)
        if own:
            arguments = replace(operator.arguments, **own)
            operator = replace(operator, arguments=arguments, given=operator.given | own)
        changed.append(operator)
    return changed


def _field_of(key: str) -> Field:
    section, *names = steps_of(key)
    kinds = TRANSFORMS if section == "data" else {"model": ModelParams, "train": TrainParams}
    kind = kinds[names[-2] if section == "data" else section]
    return next(this for this in fields(kind) if this.name == names[-1])


Topic = Callable[[_Question], Mapping[str, Choice]]


def _sizes(question: _Question) -> dict[str, Choice]:
    choices = {}
    for key in question.experiment.auto:
        operator, _, argument = key.rpartition(".")
        if argument == _SHORT_SIZE:
            longest = value_of(question.experiment, operator).max_size
            choices[key] = rules.short_size(question.facts, question.machine, longest)
            if key.startswith("data.transforms.train["):
                choices[key] = rules.training_sizes(choices[key])
    return choices


def _batch(question: _Question) -> dict[str, Choice]:
    key = "train.train_batch_size"
    if not question.asks(key):
        return {}
    experiment = question.experiment
    area = largest_area(experiment.data.transforms.train, question.facts)
    factor, parts = _memory_factor(experiment.model, question.train), question.train.accumulate
    return {key: rules.train_batch_size(question.facts, question.machine, area, factor, parts)}


def _epochs(question: _Question) -> dict[str, Choice]:
    key, interval_key = "train.num_epochs", "train.save_interval_epochs"
    if not question.asks(key):
        return {}
    train = question.train
    interval = None if question.asks(interval_key) else train.save_interval_epochs
    return {
        key: rules.num_epochs(
            question.facts.num_images,
            train.train_batch_size,
            question.machine,
            question.budget,
            interval,
        )
    }


def _interval(question: _Question) -> dict[str, Choice]:
    key = "train.save_interval_epochs"
    if not question.asks(key):
        return {}
    return {key: rules.save_interval_epochs(question.train.num_epochs, question.budget)}


def _decays(question: _Question) -> dict[str, Choice]:
    key = "train.lr_decay_epochs"
    return {key: rules.lr_decay_epochs(question.train.num_epochs)} if question.asks(key) else {}


def _warmup(question: _Question) -> dict[str, Choice]:
    key = "train.warmup_steps"
    if not question.asks(key):
        return {}
    train, images = question.train, question.facts.num_images
    total = rules.steps_in(images, train.train_batch_size, train.num_epochs)
    decay = rules.first_decay(images, train.train_batch_size, train.lr_decay_epochs)
    return {key: rules.warmup_steps(total, decay)}


def _rate(question: _Question) -> dict[str, Choice]:
    key = "train.learning_rate"
    if not question.asks(key):
        return {}
    train = question.train
    rate = rules.learning_rate(train.train_batch_size, train.optimizer)
    if _has_usual_start(question.experiment) and train.warmup_start_lr >= rate.value:
        return {key: rate, "train.warmup_start_lr": rules.warmup_start_lr(rate.value)}
    return {key: rate}


def _detections(question: _Question) -> dict[str, Choice]:
    key = "model.keep_top_k"
    return {key: rules.keep_top_k(question.facts)} if question.asks(key) else {}


_TOPICS: tuple[Topic, ...] = (
    _sizes, _batch, _epochs, _interval, _decays, _warmup, _rate, _detections,
)  # fmt: skip


def _has_usual_start(experiment: Experiment) -> bool:
    """Whether nobody has chosen the first rate of the warm-up."""
    return experiment.train is not None and experiment.train.warmup_start_lr == next(
        default_of(this) for this in fields(TrainParams) if this.name == "warmup_start_lr"
    )


def _memory_factor(model: ModelParams, train: TrainParams) -> float:
    """Memory of an image in training, in that of a ResNet50 with FPN."""
    factor = _MEMORY[model.backbone]
    factor *= 1.0 if model.with_fpn else _MEMORY_WITHOUT_FPN
    factor *= _MEMORY_WITH_DCN if model.with_dcn else 1.0
    return factor * (1.0 if train.amp == "off" else _MEMORY_IN_16_BITS)


def largest_area(operators: Collection[OperatorChoice], facts: DataFacts) -> float:
    """Pixels of the largest image that the network sees; of images that are 5/3 as wide as high."""
    area = facts.short_side**2 * _WIDEST
    for operator in operators:
        given = operator.arguments
        if operator.name == "ResizeByShort":
            short = given.short_size
            area = _resized(short if isinstance(short, int) else max(short), given.max_size)
        elif operator.name == "ComposedRCNNTransforms":
            area = _resized(*given.min_max_size)
        elif operator.name in ("Resize", "LargeScaleJitter"):
            target = given.target_size
            area = float(target**2 if isinstance(target, int) else target[0] * target[1])
    return area


def _resized(short: int, longest: int) -> float:
    side = short * _WIDEST if longest <= 0 else min(short * _WIDEST, longest)
    return float(short * side)
