"""A file from the network, again and again until it is there.

What: tries with growing pauses, each going on where the last ended; a connection that breaks often
does no harm as long as every try gets further. For one request see transfer.py.
"""

from __future__ import annotations

import logging
import time

from .part_file import PartFile, Published
from .transfer import DownloadError, TransientError, transfer

logger = logging.getLogger(__name__)

ATTEMPTS = 5  # without getting further
PAUSE_SECONDS = 1.0  # doubled each time


def download(url: str, part: PartFile) -> Published:
    """Complete the part file, and say what the server says of it.

    Raises:
        DownloadError: when it cannot be had; the bytes so far are kept for another start.
        NoRoomError: when the disk cannot take it; likewise.
    """
    furthest, failures = part.size(), 0
    while True:
        try:
            return transfer(url, part)
        except TransientError as trouble:
            failures = 1 if part.size() > furthest else failures + 1
            furthest = max(furthest, part.size())
            if failures == ATTEMPTS:
                raise DownloadError(f"{trouble}, {ATTEMPTS} times") from trouble
            pause = max(trouble.wait, PAUSE_SECONDS * 2 ** (failures - 1))
            logger.warning("%s: %s; trying again in %.0f s", part.path.stem, trouble, pause)
            time.sleep(pause)
