"""The service as an ASGI app: addresses, access, how errors are answered; and a process of its own for it."""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi import Query as FromQuery
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from .. import __version__
from ..maskrcnn import MaskRCNN
from .guards import ANY, AllowedHosts, with_time_limit
from .limits import Limits
from .messages import Answer, Problem, Query, RefusalError, sentence_about
from .metrics import CONTENT_TYPE, Observed
from .predictor import Predicting, Predictor
from .uploads import FILE_FIELD, FORMATS

_PICTURE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "An image file, as a form's file or as the whole body.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {FILE_FIELD: _PICTURE},
                }
            },
            "image/*": {"schema": _PICTURE},
        },
    }
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "No image in the request."},
    401: {"model": Problem, "description": "The API key is missing or wrong."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "Too many bytes, pixels or tiles."},
    415: {"model": Problem, "description": "Not an image, or of another format."},
    421: {"model": Problem, "description": "Another name of the service than is allowed."},
    422: {"model": Problem, "description": "A damaged image, other channels, or a wrong option."},
    500: {"model": Problem, "description": "A failure inside, with its id in the log."},
    503: {"model": Problem, "description": "Too much to do; Retry-After says when to try again."},
    504: {"model": Problem, "description": "No result in time."},
}
_KEY = APIKeyHeader(name="X-API-Key", auto_error=False)

logger = logging.getLogger(__name__)

_GRACE = 5  # seconds beyond the longest request
_LOCAL = ("127.0.0.1", "::1", "localhost")


def create_app(
    model: MaskRCNN,
    limits: Limits | None = None,
    api_key: str | None = None,
    hosts: frozenset[str] = frozenset({ANY}),
) -> FastAPI:
    """The service of a model.

    Args:
        model: trained or loaded.
        limits: what it takes on.
        api_key: what /predict and /model want in the header X-API-Key; None: nothing.
        hosts: names that requests may call it by (`guards.allowed_hosts`); any, unless given.

    Raises:
        ValueError: when the model cannot predict.
    """
    limits = limits or Limits()
    predictor = Predictor(model)
    predicting = Predicting(predictor, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        predicting.start()
        yield
        predicting.stop()

    app = FastAPI(
        title="Mask R-CNN",
        version=__version__,
        description=f"Finds: {', '.join(predictor.card.labels)}.",
        lifespan=lifespan,
    )
    app.add_middleware(AllowedHosts, names=hosts)
    app.add_middleware(Observed, metrics=predicting.metrics)
    _tell_errors(app)
    # open without a key: orchestrators and Prometheus have none
    _add_states(app, predicting)
    guards = [Depends(_guard(api_key))]
    _add_predict(app, predicting, guards)
    _add_model(app, {**predictor.about(), "formats": FORMATS, "limits": asdict(limits)}, guards)
    return app


def _add_model(app: FastAPI, about: dict[str, Any], guards: list[Any]) -> None:
    @app.get("/model", summary="Classes, input, limits, versions", dependencies=guards)
    async def model() -> dict[str, Any]:
        return about


def _add_predict(app: FastAPI, predicting: Predicting, guards: list[Any]) -> None:
    @app.post(
        "/predict",
        summary="Objects of an image",
        response_model=Answer,
        responses=_PROBLEMS,
        openapi_extra=_BODY,
        dependencies=guards,
    )
    async def predict(request: Request, query: Annotated[Query, FromQuery()]) -> Response:
        return Response(await predicting.answer(request, query), media_type="application/json")


def _add_states(app: FastAPI, predicting: Predicting) -> None:
    worker = predicting.worker

    @app.get("/health", summary="Does the process work?", responses={503: {"model": Problem}})
    async def health() -> dict[str, str]:
        if trouble := worker.trouble:
            raise RefusalError(503, trouble)
        return {"status": "ok"}

    @app.get("/ready", summary="Can it predict now?", responses={503: {"model": Problem}})
    async def ready() -> dict[str, str]:
        trouble = worker.trouble
        if not worker.ready or trouble:
            raise RefusalError(503, trouble or "the model is warming up")
        return {"status": "ready"}

    @app.get("/metrics", summary="For Prometheus")
    def metrics() -> Response:
        return Response(predicting.metrics.text(), media_type=CONTENT_TYPE)


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusalError)
    async def refused(request: Request, error: RefusalError) -> JSONResponse:
        return JSONResponse({"detail": error.sentence}, error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence_about(error.errors())}, 422)


def _guard(api_key: str | None) -> Any:
    async def guard(given: Annotated[str | None, Depends(_KEY)]) -> None:
        # takes as long for every wrong key, so that its time says nothing of the right one
        if not secrets.compare_digest((given or "").encode(), (api_key or "").encode()):
            raise RefusalError(401, "the header X-API-Key is missing or wrong")

    async def open_to_all() -> None:
        return

    return open_to_all if api_key is None else guard


def run_server(app: FastAPI, host: str, port: int, timeout: float, guarded: bool) -> None:
    """Serve until the process is asked to end; requests under way are finished first.

    Args:
        port: 0 takes a free one, which the log tells.
        timeout: seconds that a request may take.
        guarded: whether an API key is asked for.

    Raises:
        ValueError: when there is no listening at this address.
    """
    # without uvicorn's own log: `Observed` writes a line a request
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(timeout) + _GRACE,
    )
    config.load()
    config.http_protocol_class = with_time_limit(config.http_protocol_class, timeout)
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
