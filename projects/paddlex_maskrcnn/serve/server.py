"""The service in a process of its own: one socket, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
from contextlib import ExitStack

import cv2
import uvicorn
from fastapi import FastAPI

logger = logging.getLogger(__name__)

_GRACE = 5  # seconds beyond the longest request
_LOCAL = ("127.0.0.1", "::1", "localhost")


def run_server(app: FastAPI, host: str, port: int, timeout: float, guarded: bool) -> None:
    """Serve until the process is asked to end; requests under way are finished first.

    Args:
        port: 0 takes a free one, which the log tells.
        timeout: seconds that a request may take.
        guarded: whether an API key is asked for.

    Raises:
        ValueError: when there is no listening at this address.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(timeout) + _GRACE,
    )
    # what it says of damaged uploads is told to the client
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with ExitStack() as stack:
        listening = stack.enter_context(_socket(host, port))
        port = listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        logger.info(
            "listening on http://%s:%d (/docs, /predict), process %d", shown, port, os.getpid()
        )
        if host not in _LOCAL and not guarded:
            logger.warning(
                "whoever reaches port %d can use this service: there is no API key", port
            )
        # uvicorn raises the signal that ended it again; ending by one is success here
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.signal(number, lambda *_: None)
            stack.callback(signal.signal, number, before)
        uvicorn.Server(config).run(sockets=[listening])
    logger.info("ended")


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"cannot listen on host {host}, port {port}: {reason}") from error
