"""The service as an ASGI app: addresses, access, and how errors are told."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi import Query as FromQuery
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from .. import __version__
from ..maskrcnn import MaskRCNN
from .answers import Answer, Problem
from .limits import Limits
from .metrics import CONTENT_TYPE
from .observed import Observed
from .pictures import FORMATS
from .predicting import Predicting
from .predictor import Predictor
from .query import Query, sentence_about
from .refusal import RefusalError
from .uploads import FILE_FIELD

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
    422: {"model": Problem, "description": "A damaged image, other channels, or a wrong option."},
    500: {"model": Problem, "description": "A failure inside, with its id in the log."},
    503: {"model": Problem, "description": "Too much to do; Retry-After says when to try again."},
    504: {"model": Problem, "description": "No result in time."},
}
_KEY = APIKeyHeader(name="X-API-Key", auto_error=False)


def create_app(
    model: MaskRCNN, limits: Limits | None = None, api_key: str | None = None
) -> FastAPI:
    """The service of a model.

    Args:
        model: trained or loaded.
        limits: what it takes on.
        api_key: what /predict and /model want in the header X-API-Key; None: nothing.

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
    app.add_middleware(Observed, metrics=predicting.metrics)
    _tell_errors(app)
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
        if worker.trouble:
            raise RefusalError(503, worker.trouble)
        return {"status": "ok"}

    @app.get("/ready", summary="Can it predict now?", responses={503: {"model": Problem}})
    async def ready() -> dict[str, str]:
        if not worker.ready or worker.trouble:
            raise RefusalError(503, worker.trouble or "the model is warming up")
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
        if not secrets.compare_digest((given or "").encode(), (api_key or "").encode()):
            raise RefusalError(401, "the header X-API-Key is missing or wrong")

    async def open_to_all() -> None:
        return

    return open_to_all if api_key is None else guard
