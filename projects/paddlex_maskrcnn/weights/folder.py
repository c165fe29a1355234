"""Where downloaded weight files lie, and whether the network may be asked for more."""

from __future__ import annotations

import os
from pathlib import Path

import torch

FOLDER_VARIABLE = "PADDLEX_MASKRCNN_WEIGHTS"
OFFLINE_VARIABLES = ("PADDLEX_MASKRCNN_OFFLINE", "HF_HUB_OFFLINE")


def weights_folder() -> Path:
    """$PADDLEX_MASKRCNN_WEIGHTS, or the folder torch keeps its downloads in."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named).expanduser() if named else Path(torch.hub.get_dir()) / "checkpoints"
    return folder.absolute()


def offline_variable() -> str | None:
    """The environment variable, as set, that forbids downloads; None when they are allowed."""
    for name in OFFLINE_VARIABLES:
        value = os.environ.get(name, "")
        if value.strip().lower() not in ("", "0", "false", "no", "off"):
            return f"{name}={value}"
    return None
