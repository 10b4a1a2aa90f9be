"""A real HTTP server on the loopback address that answers from a script, with the faults of real ones."""

import contextlib
import http.server
import threading
import time
from dataclasses import dataclass, field

import pytest


@dataclass
class Answer:
    """One answer.

    ``cut`` bytes of the body are sent before the connection is closed, ``stall`` seconds pass in the middle,
    ``ranges`` lets a client ask for the rest, ``chunked`` announces no length.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: float = 0.0
    ranges: bool = False
    chunked: bool = False


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from ``server.answers``: per path a list, its last entry for ever, or a function."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((time.monotonic(), self.path, dict(self.headers)))
        found = self.server.answers.get(self.path, [Answer(404)])
        answer = found(self.path) if callable(found) else found.pop(0) if len(found) > 1 else found[0]
        status, body, headers = answer.status, answer.body, dict(answer.headers)
        wanted = self.headers.get("Range", "")
        if answer.ranges and wanted and self.headers.get("If-Range") == headers.get("ETag"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                status, body = 416, b""
            else:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[start:]
        self.send_response(status)
        if answer.chunked:
            headers["Connection"] = "close"
        else:
            headers = {"Content-Length": str(len(body))} | headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(body) // 2 if answer.stall else len(body)
        try:
            self.wfile.write(body[:half] if answer.cut is None else body[: answer.cut])
            self.wfile.flush()
            if answer.stall:
                time.sleep(answer.stall)
                self.wfile.write(body[half:])
        except OSError:
            self.close_connection = True
        if answer.cut is not None or answer.chunked:
            self.close_connection = True

    def do_POST(self):
        self.server.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.do_GET()

    def log_message(self, *_):
        """Keep the test's output clean."""


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@contextlib.contextmanager
def serving(answers, port=0):
    """A running server with these answers; its ``url``, and in ``requests`` when it was asked for what."""
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    httpd.daemon_threads = True
    httpd.answers, httpd.requests, httpd.posted = answers, [], []
    httpd.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield httpd
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@pytest.fixture
def web(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with serving({}) as httpd:
        yield httpd
