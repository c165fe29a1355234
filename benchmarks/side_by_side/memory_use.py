"""Memory of this process, from Linux's own counters."""

from __future__ import annotations

from pathlib import Path

_SELF = Path("/proc/self")


def resident_mib() -> float:
    """What the process holds now."""
    return _status("VmRSS")


def peak_mib() -> float:
    """The most it held since the start, or since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Begin a new peak with what is held now."""
    (_SELF / "clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> float:
    for line in (_SELF / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(name)
