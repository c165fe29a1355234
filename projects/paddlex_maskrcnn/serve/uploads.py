"""The image out of a request's body: a form's file or the body itself, never more than the limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .refusal import RefusalError

FILE_FIELD = "file"
_FORM = "multipart/form-data"
# The second is what `curl --data-binary` says unless it is told otherwise.
_RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")
_ENVELOPE = 16 * 1024  # bytes of a form around its file


class _InMemory(MultiPartParser):
    spool_max_size = 0  # no temporary files: the body is bounded, and the disk may be read-only


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """The encoded image of a request.

    Args:
        max_bytes: reading ends with the first byte above.

    Raises:
        RefusalError: 413 too large, 415 for another type of content, 400 for a body without image.
        ClientDisconnect: when the client went away meanwhile.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _FORM and kind not in _RAW and not kind.startswith("image/"):
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the content type is {kind[:100]}; send the bytes of an image as image/jpeg or another "
            f"image type, or a form (multipart/form-data) with the image in the field {FILE_FIELD!r}",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body is compressed (Content-Encoding); send the image file as it is",
        )
    if kind == _FORM:
        data = await _file_of_form(request, max_bytes)
    else:
        data = b"".join([chunk async for chunk in _bounded(request, max_bytes, max_bytes)])
    if not data:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "the request has no image: it is empty")
    return data


async def _bounded(request: Request, most: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body's pieces, as long as there are not too many."""
    length = request.headers.get("content-length", "")
    received = 0
    if length.isdecimal() and int(length) > most:
        raise _too_large(max_bytes)
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            received += len(piece)
            if received > most:
                raise _too_large(max_bytes)
            yield piece


async def _file_of_form(request: Request, max_bytes: int) -> bytes:
    async with aclosing(_bounded(request, max_bytes + _ENVELOPE, max_bytes)) as pieces:
        parser = _InMemory(request.headers, pieces, max_files=1, max_fields=8)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise RefusalError(
                HTTPStatus.BAD_REQUEST, f"the form cannot be read: {error.message}"
            ) from error
    try:
        data = await _only_file(form).read()
    finally:
        await form.close()
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _only_file(form: FormData) -> UploadFile:
    others = [name for name, value in form.multi_items() if not isinstance(value, UploadFile)]
    if others and others != [FILE_FIELD]:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST,
            f"the form has the field {others[0][:100]!r}; it takes the image only, options belong "
            f"into the address, such as /predict?score_threshold=0.5",
        )
    file = form.get(FILE_FIELD)
    if not isinstance(file, UploadFile):
        raise RefusalError(
            HTTPStatus.BAD_REQUEST,
            f"the form has no file in a field {FILE_FIELD!r}, as curl -F {FILE_FIELD}=@photo.jpg "
            f"sends it",
        )
    return file


def _too_large(max_bytes: int) -> RefusalError:
    return RefusalError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the upload is larger than {max_bytes / 2**20:.3g} MB, the most that this service takes",
    )
