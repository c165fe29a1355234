"""Functions whose arguments are the rows of the schema: signature, defaults and checks in one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from .check import check_arguments
from .rows import REQUIRED, default_of, row_of


def takes_rows(kind: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a method `(self, section, given)` to be called with the rows of `kind`.

    Documented rows may be given by position, extra ones by keyword only. `section` is the checked
    object, `given` the set of names the caller wrote.

    Raises (when called):
        ConfigError: naming every argument that cannot be used.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        signature = _signature(kind)

        @functools.wraps(method)
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            unknown = {
                key: value for key, value in kwargs.items() if key not in signature.parameters
            }
            known = {key: value for key, value in kwargs.items() if key not in unknown}
            given = dict(signature.bind_partial(self, *args, **known).arguments) | unknown
            del given["self"]
            return method(self, check_arguments(kind, given), given.keys())

        called.__signature__ = signature  # type: ignore[attr-defined]
        return called

    return decorate


def _signature(kind: type) -> inspect.Signature:
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for this in fields(kind):
        extra, default = row_of(this).extra, default_of(this)
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
