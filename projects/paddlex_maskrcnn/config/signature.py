"""Methods whose arguments are the parameters of a dataclass: signature, defaults and checks in one.

Editors and type checkers cannot run the decorator. They read `signatures.py`, which is generated from
the same parameters (`render_signatures`) and says too what the check converts: any sequence to a list,
a path to a text.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from types import NoneType
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args, get_origin, overload

from .check import alternatives, check_arguments
from .dataset_params import DATASETS
from .params import REQUIRED, default_of, param_of
from .schema import EvaluateParams, ModelParams, TrainParams

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


@overload
def takes_params(
    kind: type, owner: str = "", *, like: Callable[P, None]
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]: ...


@overload
def takes_params(kind: type, owner: str = "") -> Callable[[Callable[..., R]], Callable[..., R]]: ...


def takes_params(kind: type, owner: str = "", *, like: Any = None) -> Any:
    """Decorate a method to be called with the parameters of `kind`.

    Documented parameters may be given by position, extra ones by keyword only. The method itself takes
    the checked object, and, if it has an argument `given`, the set of names that the caller wrote.

    Args:
        owner: the class that errors name before an argument: `Padding.coarsest_stride is -1; ...`.
        like: the function of `signatures.py` that has these parameters, for type checkers alone.

    Raises (when called):
        ConfigError: naming every argument that cannot be used.
        TypeError: for too many arguments by position, or the same twice.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        signature = _signature(kind)
        wants_given = "given" in inspect.signature(method).parameters
        prefix = f"{owner}." if owner else ""
        callee = (owner or method.__qualname__).removesuffix(".__init__")

        def run(self: Any, section: Any, given: Collection[str]) -> Any:
            return method(self, section, given) if wants_given else method(self, section)

        @functools.wraps(method)
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = _by_name(signature, args, kwargs, callee)
            return run(self, check_arguments(kind, given, prefix), given.keys())

        # for help() and notebooks, which run the code; type checkers read signatures.py
        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__doc__ = _with_arguments(method.__doc__, kind)
        called.unchecked = run  # type: ignore[attr-defined]
        return called

    return decorate


def from_checked(kind: type[T], section: Any, given: Collection[str] = ()) -> T:
    """An object of a class whose constructor takes parameters, from an object that is checked already.

    Args:
        given: names of the parameters that the user wrote.
    """
    made = kind.__new__(kind)
    kind.__init__.unchecked(made, section, given)  # type: ignore[attr-defined]
    return made


def call_checked(method: Any, section: Any, given: Collection[str] = ()) -> Any:
    """Call a bound method that takes parameters with an object that is checked already."""
    return method.__func__.unchecked(method.__self__, section, given)


def _by_name(
    signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any], callee: str
) -> dict[str, Any]:
    """All arguments as name -> value; unknown names stay, for the check to name."""
    names = [p.name for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY][1:]
    if len(args) > len(names):
        allowed = f"{len(names)} ({', '.join(names)})" if names else "none"
        raise TypeError(
            f"{callee} got {len(args)} arguments by position; allowed: {allowed}, others by name"
        )
    by_position = dict(zip(names, args, strict=False))
    if twice := by_position.keys() & kwargs.keys():
        raise TypeError(f"{callee} got {', '.join(sorted(twice))} twice, by position and by name")
    return by_position | dict(kwargs)


def _signature(kind: type) -> inspect.Signature:
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for this in fields(kind):
        extra, default = param_of(this).extra, default_of(this)
        parameters.append(
            inspect.Parameter(
                this.name,
                inspect.Parameter.KEYWORD_ONLY
                if extra
                else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if default is REQUIRED else default,
                annotation=this.type,
            )
        )
    return inspect.Signature(parameters)


def _with_arguments(doc: str | None, kind: type) -> str:
    """A docstring with the texts of the parameters, for `help()`."""
    lines = [f"    {this.name}: {param_of(this).doc}" for this in fields(kind)]
    return "\n".join([inspect.cleandoc(doc or ""), "", "Args:", *lines]).lstrip()


_HEADER = '''"""Arguments as type checkers see them; generated by `make docs` from the parameters."""
# ruff: noqa: N802  (a function is named as its class of parameters, and none is ever called)

import os
from collections.abc import Sequence
from typing import Any

StrPath = str | os.PathLike[str]
'''


def render_signatures() -> str:
    """The text of `signatures.py`: a function without a body for each set of arguments."""
    kinds = (ModelParams, TrainParams, EvaluateParams, *DATASETS.values())
    return "\n\n".join([_HEADER, *map(_as_function, kinds)])


def _as_function(kind: type) -> str:
    lines, extra = [], False
    for this in fields(kind):
        if param_of(this).extra and not extra:
            lines.append("*")
            extra = True
        default = default_of(this)
        # the formatter's quotes; no default has a quote in it
        shown = "" if default is REQUIRED else f" = {default!r}".replace("'", '"')
        annotation = _annotation(this.type, is_choice=param_of(this).values is not None)
        lines.append(f"{this.name}: {annotation}{shown}")
    arguments = "".join(f"    {line},\n" for line in lines)
    return f"def {kind.__name__.removesuffix('Params')}(\n{arguments}) -> None: ...\n"


def _annotation(kind: Any, is_choice: bool) -> str:
    """A field's type with what its check converts; the names of a closed choice are no paths."""
    words = []
    for part in alternatives(kind):
        if get_origin(part) is list:
            words.append(f"Sequence[{_annotation(get_args(part)[0], is_choice)}]")
        elif part is str and not is_choice:
            words.append("StrPath")
        else:
            words.append("None" if part is NoneType else part.__name__)
    return " | ".join(words)
