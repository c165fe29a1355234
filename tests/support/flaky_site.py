"""A web site on this machine that can misbehave in every way a download has to survive."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = random.Random(0).randbytes(300_000)


class Site:
    """Files by path, and what goes wrong with the next requests.

    Attributes:
        address: without a slash at its end.
        files: path -> content.
        etags: whether files have an ETag; without one they have a date of change if `dates`.
        plan: one dict for each of the next requests, taken in turn: `status` and `headers` answer
            with `body` instead of the file; `cut`: the connection is reset after so many bytes;
            `stop`: it just ends there; `whole`: Range is ignored; `skew`: a range begins so many
            bytes late; `headers` are added to the file's, `lies` replace them after they were
            compared with the request's; `chunked`: no length is told; `then`: called after the
            headers; `hold`: an event to wait for at the end.
        requests: (path, Range) of each request.
        agents: User-Agent of each.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags, self.dates = True, False
        self.plan: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str | None]] = []
        self.agents: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.path, handler.headers.get("Range")))
        self.agents.append(handler.headers.get("User-Agent", ""))
        how = self.plan.pop(0) if self.plan else {}
        if "status" in how:
            return self._send(
                handler, how["status"], how.get("headers", {}), how.get("body", b""), {}
            )
        content = self.files.get(handler.path.removeprefix(self.address))
        if content is None:
            return self._send(handler, 404, {}, b"", {})
        status, headers, body = self._file(handler, content, how)
        return self._send(handler, status, {**headers, **how.get("lies", {})}, body, how)

    def _file(self, handler, content, how):
        """Status, headers and body as RFC 9110 wants them, but for what is planned."""
        headers = {}
        if self.etags:
            headers["ETag"] = f'"{hashlib.md5(content).hexdigest()}"'
        elif self.dates:
            headers["Last-Modified"] = f"Sun, 22 Nov 2026 10:00:{len(content) % 60:02d} GMT"
        headers |= how.get("headers", {})
        begin = handler.headers.get("Range", "bytes=0-")[len("bytes=") : -1]
        same = handler.headers.get("If-Range", "") in headers.values()
        if begin == "0" or how.get("whole") or not same:
            return 200, headers, content
        if int(begin) >= len(content):
            return 416, headers, b""
        first = int(begin) + how.get("skew", 0)
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return 206, headers, content[first:]

    def _send(self, handler, status, headers, body, how):
        handler.send_response(status)
        length = {"Transfer-Encoding": "chunked"} if how.get("chunked") else {}
        for name, value in {**(length or {"Content-Length": str(len(body))}), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if "then" in how:
            how["then"]()
        end = how.get("cut", how.get("stop", len(body)))
        sent = body[:end]
        if how.get("chunked"):
            sent = b"%x\r\n%s\r\n" % (len(sent), sent) + (b"0\r\n\r\n" if end == len(body) else b"")
        handler.wfile.write(sent)
        handler.wfile.flush()
        if "hold" in how:
            how["hold"].wait(10)
        if end < len(body):
            handler.close_connection = True
            if "cut" in how:  # linger of 0 seconds: a reset instead of a proper end
                linger = struct.pack("ii", 1, 0)
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
