"""A parameter: all that is known of one hyperparameter, kept in the metadata of a dataclass field."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field
from typing import Any

REQUIRED = MISSING


@dataclass(frozen=True)
class Param:
    """One hyperparameter's text, where it goes, and which values it takes.

    Attributes:
        doc: one line for people.
        to: the Detectron2 key that receives the value; empty when a function derives it or the
            run itself reads it.
        values: a closed choice, our name -> Detectron2's name.
        above, at_least, below, at_most: bounds of the number, or of each number of a list.
        entries: what each entry of a list stands for, which fixes their number: ("width", "height").
        ordered: a list's entries must not decrease.
        increasing: a list's entries must grow.
        nonempty: a list must have an entry.
        python_only: an object that no YAML file can hold; where YAML says the same is in `doc`.
        extra: not in the reference document: keyword only, after the documented ones.
        auto: an experiment file may say `auto`, for a value that the run chooses (`config.auto`).
    """

    doc: str
    to: str = ""
    values: Mapping[str, Any] | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    entries: tuple[str, ...] = ()
    ordered: bool = False
    increasing: bool = False
    nonempty: bool = False
    python_only: bool = False
    extra: bool = False
    auto: bool = False

    def allowed(self, in_list: bool = True) -> str:
        """The bounds or choices in words, empty when everything of the type is allowed.

        Args:
            in_list: False leaves out what only a list can break, for parameters that also take a number.
        """
        if self.values is not None:
            return ", ".join(self.values)
        bounds = [
            (self.above, "> {}"), (self.at_least, ">= {}"), (self.below, "< {}"), (self.at_most, "<= {}"),
        ]  # fmt: skip
        words = [text.format(f"{bound:g}") for bound, text in bounds if bound is not None]
        if not in_list:
            return " and ".join(words)
        words += ["increasing"] * self.increasing + ["not empty"] * self.nonempty
        if not self.entries:
            return " and ".join(words)
        form = f"[{', '.join(self.entries)}]"
        return f"{form}, each {' and '.join(words)}" if words else form


def param(default: Any, doc: str, **details: Any) -> Any:
    """A dataclass field that is a parameter; `default` REQUIRED means that the user must say it."""
    metadata = {"param": Param(doc=doc, **_with_identity(details))}
    if isinstance(default, (list, dict)):
        # a copy for each object: dataclasses refuse lists as defaults
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def param_of(this: Field) -> Param:
    """The parameter of a dataclass field."""
    return this.metadata["param"]


def default_of(this: Field) -> Any:
    """The default of a field, REQUIRED when it has none."""
    return this.default_factory() if this.default_factory is not MISSING else this.default


def _with_identity(details: dict[str, Any]) -> dict[str, Any]:
    """Choices given as a plain list mean themselves."""
    values = details.get("values")
    if isinstance(values, Sequence):
        details = {**details, "values": {name: name for name in values}}
    return details
