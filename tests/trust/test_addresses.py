"""What comes from an address decides neither which files of this machine are read nor who gets a password."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import graftwork as gw
from graftwork import DataError
from graftwork.data.remote import copies


class Server(http.server.ThreadingHTTPServer):
    """Answers paths with these bytes, or sends on to another address. authorized: what was sent to identify oneself."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes | str] = {}
        self.authorized: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = self.server.contents.get(self.path)
        self.server.authorized.append(self.headers.get("Authorization"))
        if found is None:
            self.send_error(404)
            return
        self.send_response(302 if isinstance(found, str) else 200)
        if isinstance(found, str):
            self.send_header("Location", found)
            found = b""
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(found)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve(monkeypatch) -> Iterator[list[Server]]:
    """Two servers."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("GRAFTWORK_OFFLINE")
    servers = [Server(), Server()]
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("said", ["{secret}", "../../../../../../../../../..{secret}", "file://{secret}", "~/x.txt"])
def test_a_table_at_an_address_leads_to_no_file_of_this_machine(serve, tmp_path, said) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    said = said.format(secret=tmp_path / "secret.txt")
    server = serve[0]
    server.contents["/set/own.txt"] = b"own"
    rows = [f'{{"file": {{"bytes": null, "path": "{path}"}}, "label": "x"}}' for path in ("own.txt", "own.txt", said)]
    server.contents["/set/table.jsonl"] = "\n".join(rows).encode()
    with pytest.raises(DataError) as error:
        gw.data(f"{server.address}/set/table.jsonl")
    assert error.value.message.startswith("Row 3 ")


def test_a_table_at_an_address_reads_the_files_beside_it(serve) -> None:
    server = serve[0]
    server.contents.update({"/set/a b.txt": b"never asked", "/set/a%20b.txt": b"own"})
    row = '{"file": {"bytes": null, "path": "a b.txt"}, "label": "x"}'
    server.contents["/set/table.jsonl"] = f"{row}\n{row}".encode()
    data = gw.data(f"{server.address}/set/table.jsonl")
    assert [raw.content() for raw in data.raws] == [b"own", b"own"]


def test_a_password_is_not_sent_on_by_a_redirection(serve, tmp_path) -> None:
    first, second = serve
    second.contents["/data.csv"] = b"text,label\n"
    first.contents["/data.csv"] = f"{second.address}/data.csv"
    address = f"{first.address}/data.csv".replace("://", "://me:hush@")
    assert Path(copies.fetched(address)).read_bytes() == b"text,label\n"
    assert None not in first.authorized
    assert set(second.authorized) == {None}


def test_a_redirection_to_a_file_is_not_followed(serve, tmp_path) -> None:
    (tmp_path / "secret.csv").write_text("text,label\n")
    serve[0].contents["/data.csv"] = f"file://{tmp_path / 'secret.csv'}"
    with pytest.raises(DataError, match=r"data\.csv' cannot be fetched"):
        copies.fetched(f"{serve[0].address}/data.csv")
