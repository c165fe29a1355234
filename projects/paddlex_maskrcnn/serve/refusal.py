"""A request that gets no objects, and the sentence that says why."""

from __future__ import annotations

from http import HTTPStatus

CLIENT_GONE = 499  # nginx's number: nobody reads the answer, the metrics count it


class RefusalError(Exception):
    """An answer that is not 200.

    Attributes:
        status: of HTTP.
        sentence: for the person who sent the request.
        headers: of the answer.
    """

    def __init__(
        self, status: int | HTTPStatus, sentence: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = int(status), sentence, headers or {}
