"""The fixed-shape parts of a network through `torch.compile`, while it trains.

What: backbone with its pyramid, RPN head, box head and the mask head's layers. What lies between them
(proposals, sampling, pooling, losses) has another shape in each step and stays as it is.
Origin: `torch.compile`, https://docs.pytorch.org/docs/stable/torch.compiler.html.
Differences from `module.compile()`: one method of each part is replaced, in place, so that parameters
keep their names and hooks keep running; outside of training steps the part computes as ever, so
that evaluation gives the numbers of a model that was never compiled; a copy or a pickle of the network is
not compiled; and what cannot be compiled goes on without, after one warning that says why.
Results equal those without up to rounding, as inductor fuses operators.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import types
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
import torch._functorch.config
from torch import nn

from ..acceleration import plain

logger = logging.getLogger(__name__)

INDUCTOR = "inductor"
Backend = str | Callable[..., Any]

# words of what torch says -> what to do about it; the first that fit
_REMEDIES = (
    (
        ("C++ compiler", "CppCompileError", "g++", "Python.h", "CalledProcessError"),
        "install a C++ compiler and Python's headers (Debian: apt install g++ python3-dev), or name "
        "one in the environment variable CXX",
    ),
    (
        ("too old", "GPUTooOldForTriton", "capability"),
        "this GPU is older than Triton supports: leave train.compile false",
    ),
    (
        ("triton", "Triton"),
        "install the version of Triton that belongs to this torch (pip install triton)",
    ),
    (("Python 3.", "is not supported"), "use a Python that this torch supports"),
)
_OTHERWISE = "set train.compile: false; TORCHDYNAMO_VERBOSE=1 in the environment shows more"


# a context variable, as other threads may train other networks meanwhile
_uncompiled: ContextVar[bool] = ContextVar("nothing is compiled", default=False)


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Nothing is compiled while the block runs, whatever mode the network is in."""
    token = _uncompiled.set(True)
    try:
        yield
    finally:
        _uncompiled.reset(token)


class CompiledMethod:
    """Stands in place of a method of a module: compiled in training steps, elsewhere as it was.

    Attributes:
        failure: why it is no longer compiled, in words; empty while it is.
    """

    def __init__(
        self, part: str, root: nn.Module, owner: nn.Module, method: str, backend: Backend
    ) -> None:
        """Prepare; compilation happens when it is called.

        Args:
            part: its name in messages.
            root: the whole network: whether it trains decides.
            owner: the module whose method it is.
            backend: of `torch.compile`.
        """
        self.failure = ""
        self._part, self._root, self._owner, self._method = part, root, owner, method
        self._plain = types.MethodType(getattr(type(owner), method), owner)
        self._compiled = torch.compile(
            self._plain, backend=_Backend(backend, self._give_up), **_isolated()
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the method."""
        if self.failure or _uncompiled.get() or not self._root.training:
            return self._plain(*args, **kwargs)
        try:
            return self._compiled(*args, **kwargs)
        except torch.OutOfMemoryError:  # not the compiler's: the step itself explains it
            raise
        except Exception as error:
            result = self._plain(*args, **kwargs)  # an error that is not the compiler's comes again
            self._give_up(error)
            return result

    def _give_up(self, error: Exception) -> None:
        if not self.failure:
            self.failure = in_words(error)
            logger.warning(
                "train.compile: %s goes on without torch.compile, with the same results: %s",
                self._part, self.failure,
            )  # fmt: skip

    # Copies and pickles get the plain method: what torch.compile returns can be neither.
    def __deepcopy__(self, memo: dict[int, Any]) -> types.MethodType:
        return types.MethodType(self._plain.__func__, copy.deepcopy(self._owner, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, self._method)


class _Backend:
    """A backend that hands back the graph as it came when it cannot be compiled.

    Backward passes are compiled with their forward pass, where an error can still be dealt with.
    """

    def __init__(self, backend: Backend, on_failure: Callable[[Exception], None]) -> None:
        self._compile = torch._dynamo.lookup_backend(backend)
        self._on_failure = on_failure

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any], **options: Any) -> Any:
        try:
            # inductor compiles the backward pass lazily, where no fallback is possible any more
            with _backward_at_once():
                return self._compile(graph, inputs, **options)
        except Exception as error:
            self._on_failure(error)
            return graph.forward  # Dynamo runs the traced graph as it is: the same operators


def compile_parts(
    module: nn.Module, *, checkpointed: bool = False, backend: Backend = INDUCTOR
) -> list[CompiledMethod]:
    """Compile the fixed-shape parts of a network in place; returns what was put in place.

    The network is plain from then on (`acceleration.plain`). Without the tools that compilation needs
    nothing is changed, and one warning says so.

    Args:
        module: a Mask R-CNN with pyramid or without.
        checkpointed: the backbone recomputes its activations, which it has to do uncompiled.
        backend: of `torch.compile`.
    """
    device = next(module.parameters()).device
    reason = why_not(device, backend)
    if reason:
        logger.warning(
            "train.compile: the run goes on without torch.compile, with the same results: %s",
            reason,
        )
        return []
    plain(module)  # the compiler is to see Detectron2's own, whole operators
    placed = []
    for part, owner, method in _parts(module):
        if part == "backbone" and checkpointed:
            logger.info("train.compile leaves out the backbone, as gradient_checkpointing is on")
            continue
        compiled = CompiledMethod(part, module, owner, method, backend)
        setattr(owner, method, compiled)
        placed.append(compiled)
    logger.info(
        "train.compile: compiling while the first steps run, which takes minutes; once more for the "
        "first image of another size"
    )
    return placed


def drop_compiled(module: nn.Module) -> None:
    """Take back what `compile_parts` has done; nothing to do when it has not."""
    for _, owner, method in _parts(module):
        # the attribute of the instance hides the method of the class; without it that one is back
        if isinstance(vars(owner).get(method), CompiledMethod):
            delattr(owner, method)


def why_not(device: torch.device, backend: Backend = INDUCTOR) -> str:
    """Why nothing can be compiled for a device, found by compiling a small function; else empty."""
    x = torch.ones(8, device=device, requires_grad=True)
    try:
        torch.compile(_small, backend=backend, fullgraph=True)(x).backward()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return in_words(error)
    return ""


def in_words(error: Exception) -> str:
    """What was wrong with the compiler, in one line, and the remedy."""
    text = f"{type(error).__name__}: {error}"
    remedies = (remedy for words, remedy in _REMEDIES if any(word in text for word in words))
    cause = getattr(error, "inner_exception", error)
    first = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    return f"{first.strip().rstrip('.')}. Remedy: {next(remedies, _OTHERWISE)}"


def _parts(module: Any) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and method of each part whose shapes depend on the batch's size alone."""
    yield "backbone", module.backbone, "forward"
    yield "rpn_head", module.proposal_generator.rpn_head, "forward"
    heads = module.roi_heads
    yield "box_head", heads.box_head if hasattr(heads, "box_head") else heads.res5, "forward"
    if heads.mask_on:
        yield "mask_head", heads.mask_head, "layers"


def _small(x: torch.Tensor) -> torch.Tensor:
    return (x * 2 + 1).relu().sum()


def _isolated() -> dict[str, Any]:
    """Several networks in one process do not use up each other's recompilations, where torch can."""
    options = inspect.signature(torch.compile).parameters
    return {"isolate_recompiles": True} if "isolate_recompiles" in options else {}


def _backward_at_once() -> Any:
    config: Any = torch._functorch.config
    # a private option that torch may rename; without it only the fallback of backward passes is missing
    if hasattr(config, "force_non_lazy_backward_lowering"):
        return config.patch(force_non_lazy_backward_lowering=True)
    return config.patch({})
