"""Records of a server on the loopback that speaks as Zenodo does."""

from __future__ import annotations

import ast
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import graftwork as gw
import graftwork_text.plugin
import graftwork_zenodo.plugin
from graftwork import DataError

SOURCES = Path(__file__).parents[1] / "src" / "graftwork_zenodo"


@pytest.fixture
def messages(tmp_path) -> Path:
    """A table of texts."""
    path = tmp_path / "messages.csv"
    path.write_text("\n".join(["text,label", *(f"where is my parcel {n},{n % 2}" for n in range(20))]) + "\n")
    return path


@pytest.fixture
def record(monkeypatch, graftwork_isolated, tmp_path, messages) -> Iterator[list[str]]:
    """The record 42 with a table of messages; yields the ranges that were asked for. Its first answer breaks off."""
    content, asked = messages.read_bytes(), []
    about = {"key": "messages.csv", "size": len(content), "checksum": f"md5:{hashlib.md5(content).hexdigest()}"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = f"http://127.0.0.1:{self.server.server_address[1]}"
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            if self.path == "/api/records/42":
                body = json.dumps({"files": [{**about, "links": {"self": f"{host}/content"}}]}).encode()
            elif self.path == "/content":
                asked.append(self.headers.get("Range", ""))
                body = content[start:]
            else:
                self.send_error(404)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:100] if len(asked) == 1 and self.path == "/content" else body)

        def log_message(self, *_: object) -> None:
            pass

    for name in ("HF_HUB_OFFLINE", "GRAFTWORK_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRAFTWORK_CACHE", str(tmp_path / "cache"))
    graftwork_isolated(graftwork_text.plugin, graftwork_zenodo.plugin)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("ZENODO_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield asked
        server.shutdown()


def test_a_file_of_a_record_is_fetched_once_and_gone_on_with(record, messages) -> None:
    data = gw.data("zenodo://42/messages.csv")
    assert (data.name, [raw.value for raw in data.raws]) == ("messages", [raw.value for raw in gw.data(messages).raws])
    assert record == ["", "bytes=100-"]
    gw.data("zenodo://42/messages.csv")
    assert len(record) == 2


def test_a_record_is_a_folder_of_its_files(record) -> None:
    data = gw.data("zenodo://42")
    assert (data.layout, len(data)) == ("tables", 20)


@pytest.mark.parametrize("address", ["zenodo://43", "zenodo://42/other.csv"])
def test_what_is_not_there_is_said(record, address) -> None:
    with pytest.raises(DataError) as error:
        gw.data(address)
    assert str(error.value) == f"'{address}' does not exist. Check the address."


def test_it_uses_public_names_alone() -> None:
    for file in SOURCES.glob("*.py"):
        modules = [node.module for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        assert {name for name in modules if name and name.startswith("graftwork")} <= {"graftwork"}
