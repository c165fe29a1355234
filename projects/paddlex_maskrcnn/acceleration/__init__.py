"""How a network of `modeling` is computed faster, with results equal up to rounding.

`accelerate(network)` lets each component that has a faster form take it; `plain(network)` is its inverse.
A component is exchanged by its class alone: parameters, their names and a state dict stay the same. An
entry of the table in `accelerate.py` exists only where a measurement shows at least 5 % of a step or a
prediction on the device it is for, is tested against the plain form, and falls back to it for other
devices and types, as a network may move.
"""

from .accelerate import PLAIN_VARIABLE, accelerate, asks_for_plain, plain

__all__ = ["PLAIN_VARIABLE", "accelerate", "asks_for_plain", "plain"]
