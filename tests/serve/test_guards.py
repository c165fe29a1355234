"""The names that a service answers to, and connections that make it wait."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from paddlex_maskrcnn.serve.app import create_app
from paddlex_maskrcnn.serve.guards import ANY, AllowedHosts, allowed_hosts, with_time_limit

OWN = socket.gethostname().lower()


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * int(scope["path"].strip("/") or 1)})


@pytest.mark.parametrize(
    ("bound_to", "more", "expected"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1"}),
        ("::1", [], {"localhost", "::1"}),
        ("localhost", ["Vision.Example.org."], {"localhost", "vision.example.org"}),
        ("0.0.0.0", [], {"localhost", "0.0.0.0", OWN}),
        ("vision", ["a", "b"], {"localhost", "vision", OWN, "a", "b"}),
        ("0.0.0.0", ["*"], {"localhost", "0.0.0.0", OWN, ANY}),
    ],
)
def test_names_that_are_allowed(bound_to, more, expected):
    assert allowed_hosts(bound_to, more) == expected


@pytest.mark.parametrize("name", ["", "http://a", "a:80", "a/b"])
def test_names_that_no_host_is(name):
    with pytest.raises(ValueError, match="is no host name; give the name alone"):
        allowed_hosts("127.0.0.1", [name])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.0.7", 200),
        ("vision.example.org", 200),
        ("evil.example.org", 421),
        ("localhost.evil.org:8000", 421),
        ("evil.org@localhost", 421),
        ("localhost/evil", 421),
        ("127.0.0.1.evil.org", 421),
        ("[::1", 421),
        ("", 421),
        ("x" * 5000, 421),
    ],
)
def test_the_host_of_a_request(host, status):
    names = allowed_hosts("127.0.0.1", ["vision.example.org"])
    answer = TestClient(AllowedHosts(hello, names)).get("/", headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert "--allow-host" in answer.json()["detail"]
        assert len(answer.json()["detail"]) < 300


def test_any_host():
    client = TestClient(AllowedHosts(hello, frozenset({ANY})))
    assert client.get("/", headers={"Host": "evil.example.org"}).status_code == 200


def test_a_page_of_another_name_cannot_use_the_service(served_model):
    """DNS rebinding; probes come by whatever name."""
    hosts = allowed_hosts("127.0.0.1")
    with TestClient(create_app(served_model, hosts=hosts)) as client:
        evil = {"Host": "evil.example.org"}
        for path in ("/model", "/metrics", "/docs", "/openapi.json"):
            assert client.get(path, headers=evil).status_code == 421, path
        assert client.post("/predict", content=b"x", headers=evil).status_code == 421
        assert client.get("/health", headers=evil).status_code == 200
        metrics = client.get("/metrics", headers={"Host": "localhost:8000"})
        assert 'status="421"} 5.0' in metrics.text


@contextmanager
def served(app, seconds, http):
    config = uvicorn.Config(app, log_config=None, http=http, lifespan="off", timeout_keep_alive=60)
    config.load()
    config.http_protocol_class = with_time_limit(config.http_protocol_class, seconds)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


def test_a_refused_upload_sees_its_answer():
    """Its body arrives after the headers; a connection closed on unread bytes would be reset."""
    app = AllowedHosts(hello, allowed_hosts("127.0.0.1"))
    head = b"POST /predict HTTP/1.1\r\nHost: evil.example.org\r\nContent-Length: 900000\r\n\r\n"
    with served(app, 5, "h11") as address:
        for _ in range(5):
            with socket.create_connection(address, timeout=5) as connection:
                connection.sendall(head)
                time.sleep(0.05)
                connection.sendall(b"x" * 900_000)
                answer = b""
                while part := connection.recv(4096):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 421")
            assert b"--allow-host" in answer


@pytest.fixture(scope="module", params=["h11", "httptools"])
def address(request):
    """Of a server that gives clients 0.3 s."""
    if request.param == "httptools":
        pytest.importorskip("httptools")
    with served(slow_or_hello, 0.3, request.param) as address:
        yield address


async def slow_or_hello(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
        scope = {**scope, "path": "/"}
    await hello(scope, receive, send)


def seconds_until_closed(connection, limit=5):
    start = time.monotonic()
    connection.settimeout(limit)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - start


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_headers_that_do_not_end(address, data):
    with socket.create_connection(address) as connection:
        connection.sendall(data)
        assert 0.2 < seconds_until_closed(connection) < 3


def test_headers_in_drops(address):
    """Each byte is no reason to wait longer; nor is a first request that was quick."""
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            drip(connection)
        assert time.monotonic() - start < 3


def drip(connection):
    for _ in range(100):
        connection.sendall(b"G")
        time.sleep(0.05)


def test_an_app_that_takes_longer_is_waited_for(address):
    host, port = address
    with httpx.Client(base_url=f"http://{host}:{port}") as client:
        assert client.get("/slow").content == b"x"
        time.sleep(0.1)
        assert client.get("/").content == b"x"


def test_an_answer_that_nobody_reads(address):
    """20 MB do not wait in memory for ever."""
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /20000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1.5)
        assert len(all_that_comes(connection)) < 20_000_000


def all_that_comes(connection):
    connection.settimeout(5)
    received = bytearray()
    try:
        while data := connection.recv(2**20):
            received += data
    except ConnectionError:
        pass
    return received
