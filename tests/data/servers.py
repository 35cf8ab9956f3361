"""Servers on the loopback for tests of addresses: S3, a web server that knows ranges, and a proxy that drops connections."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import random
import re
import socket
import threading
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path


class Dropping:
    """A TCP proxy in front of a server; of its connections one in five breaks off amid an answer. It counts what it
    forwards."""

    def __init__(self, port: int, seed: int = 0, share: float = 0.2) -> None:
        self.target, self.random, self.share = port, random.Random(seed), share
        self.connections = self.dropped = self.sent = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            drop = self.random.random() < self.share
            threading.Thread(target=self._serve, args=(client, drop), daemon=True).start()

    def _serve(self, client: socket.socket, drop: bool) -> None:
        server = socket.create_connection(("127.0.0.1", self.target))
        back = threading.Thread(target=self._pump, args=(server, client, drop), daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, drop: bool) -> None:
        counted = source.getpeername()[1] == self.target
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if drop:
                    sink.sendall(piece[: len(piece) // 2])
                    self.dropped += 1
                    break
                sink.sendall(piece)
                self.sent += len(piece) * counted
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder with strong ETags; ranges, where the server is told to know them."""

    def do_GET(self, *, body: bool = True) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))  # type: ignore[attr-defined]
        secret = getattr(self.server, "secret", "")
        if secret and self.headers.get("Authorization") != secret:
            self.send_error(401)
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = 0
        if wanted and self.server.ranges and self.headers.get("If-Range", tag) == tag:  # type: ignore[attr-defined]
            start = int(wanted[1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        left = content[start:]
        if body and (cut := self.server.cuts.pop(0) if self.server.cuts else None):  # type: ignore[attr-defined]
            self.wfile.write(left[:cut])
            self.close_connection = True
            return
        if body:
            self.wfile.write(left)

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def log_message(self, *_: object) -> None:
        pass


class Web(http.server.ThreadingHTTPServer):
    """asked: the requests. cuts: after how many bytes the next answers break off. ranges: whether it knows them. secret:
    the Authorization that it wants."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        self.cuts: list[int] = []
        self.ranges, self.secret = True, ""

        def handler(*arguments: object) -> Handler:
            return Handler(*arguments, directory=str(folder))  # type: ignore[arg-type]

        super().__init__(("127.0.0.1", 0), handler)  # type: ignore[arg-type]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def web(folder: Path) -> Iterator[Web]:
    server = Web(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
