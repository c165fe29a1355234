"""Methods whose arguments are the parameters of a dataclass: signature, defaults and checks in one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from .check import check_arguments
from .params import REQUIRED, default_of, param_of

T = TypeVar("T")


def takes_params(kind: type, owner: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a method to be called with the parameters of `kind`.

    Documented parameters may be given by position, extra ones by keyword only. The method itself takes
    the checked object, and, if it has an argument `given`, the set of names that the caller wrote.

    Args:
        owner: the class that errors name before an argument: `Padding.coarsest_stride is -1; ...`.

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
