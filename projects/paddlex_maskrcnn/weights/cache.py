"""Where downloaded weight files lie, and how they get there."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import torch

from .catalogue import CatalogueEntry

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "PADDLEX_MASKRCNN_WEIGHTS"


def weights_folder() -> Path:
    """$PADDLEX_MASKRCNN_WEIGHTS, or the folder torch keeps its downloads in."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(torch.hub.get_dir()) / "checkpoints"


def fetch(entry: CatalogueEntry) -> Path:
    """The entry's file, downloaded unless it is there, verified by the hash in its name.

    Raises:
        ValueError: when it cannot be had or is not what its name says; names the file, its address
            and the folder to put it into by hand.
    """
    path = weights_folder() / entry.file_name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            prefix = entry.hash_prefix or None
            torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=prefix)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"{entry.name} could not be downloaded ({error}). Get {entry.url} on a machine that "
                f"can, put it into {path.parent} (or the folder ${FOLDER_VARIABLE} names) and start "
                f"again; pretrain_weights null trains from random weights"
            ) from error
    if entry.hash_prefix:
        _verify(path, entry.hash_prefix)
    else:
        logger.info("%s is not verified: its publisher gives no hash", path)
    return path


def _verify(path: Path, hash_prefix: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(hash_prefix):
        raise ValueError(
            f"{path} is damaged: its sha256 begins with {found[:8]}, its name says {hash_prefix}; "
            "delete it and start again"
        )
