"""`hub:OWNER/NAME`: described by its small files alone, its weights fetched when they are wanted, by commit and digest."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import graftwork as gw
from graftwork import WeightsUnavailable
from graftwork.plugins import registry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n"


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a download asks for: what a repository holds, and its files."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        names = [file.name for file in self.folder.iterdir()]
        headers: dict[str, str] = {"x-repo-commit": COMMIT}
        if "/tree/" in path:
            content = json.dumps([{"type": "file", "path": n, "oid": n, "size": 1} for n in names]).encode()
        elif path.startswith("/api/models/owner/name"):
            siblings = [{"rfilename": name} for name in names]
            content = json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode()
        else:
            file = self.folder / path.rsplit("/", 1)[-1]
            if not file.is_file():
                self.send_error(404)
                return
            content = file.read_bytes()
            headers["etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            if body:
                self.asked.append(file.name)
        self.send_response(200)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def hub(tiny_bert, tmp_path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """The environment of a process that reaches a hub with one tiny model, and the files that it was asked for."""
    folder = tmp_path / "published"
    folder.mkdir()
    for file in tiny_bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "README.md").write_text(CARD)
    (folder / "pytorch_model.bin").write_bytes(b"never wanted")
    handler = type("Handler", (Hub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    offline = ("GRAFTWORK_OFFLINE", "HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    environment = {k: v for k, v in os.environ.items() if k.upper() not in offline}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "home")}
    yield environment, handler.asked  # pyright: ignore[reportAttributeAccessIssue]
    server.shutdown()
    server.server_close()


def run(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


DESCRIBE = """
from graftwork.plugins import registry
spec = registry.backbone("hub:owner/name")
print(spec.name, spec.license, spec.parameters, spec.weights.revision, spec.stages[-1])
"""
LOAD = """
import graftwork as gw
from graftwork.plugins import registry
print(gw.load_backbone(registry.backbone("hub:owner/name@main"))(gw.State(__import__("torch").ones(1, 3).long())).hidden.shape)
"""
PINNED = """
import graftwork as gw
weights = gw.HubWeights("owner/name", ("config.json", "model.safetensors"), sha256={{"model.safetensors": "{digest}"}})
try:
    print(weights.obtain("text/x").name)
except gw.GraftworkError as error:
    print(error.message, weights.find())
"""


def test_a_model_is_described_by_small_files_and_its_weights_come_when_they_are_wanted(hub, tmp_path) -> None:
    environment, asked = hub
    assert run(DESCRIBE, environment) == f"hub:owner/name apache-2.0 None {COMMIT} block2"
    assert set(asked) >= {"config.json", "tokenizer.json", "README.md"}
    assert not {"model.safetensors", "pytorch_model.bin"} & set(asked)
    assert run(LOAD, environment) == "torch.Size([1, 3, 16])"
    assert asked.count("model.safetensors") == 1
    assert "pytorch_model.bin" not in asked
    before = list(asked)
    assert run(LOAD, {**environment, "GRAFTWORK_OFFLINE": "1"}) == "torch.Size([1, 3, 16])"
    assert asked == before


def test_a_file_of_another_digest_than_the_spec_gives_is_refused_and_not_kept(hub, tiny_bert) -> None:
    environment, asked = hub
    digest = hashlib.sha256((tiny_bert / "model.safetensors").read_bytes()).hexdigest()
    said = run(PINNED.format(digest="0" * 64), environment)
    assert said == f"'model.safetensors' of 'owner/name' has SHA-256 {digest[:16]}…, not 0000000000000000…. None"
    assert run(PINNED.format(digest=digest), environment) == COMMIT
    assert asked.count("model.safetensors") == 2


def test_a_cached_model_is_read_at_the_commit_that_a_user_names(monkeypatch, tmp_path, tiny_bert) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--owner--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for file in tiny_bert.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    spec = registry.backbone(f"hub:owner/name@{COMMIT}")
    assert spec.source == f"https://huggingface.co/owner/name/tree/{COMMIT}"
    assert spec.weights.size_bytes == (tiny_bert / "model.safetensors").stat().st_size
    assert gw.load_backbone(spec).spec.feature_dim == 16


def test_a_model_that_is_not_here_is_refused_at_once_offline(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    sentence = (
        r"^Backbone 'hub:owner/name' wants config.json of 'owner/name' on the Hugging Face hub, which is not on this"
    )
    with pytest.raises(WeightsUnavailable, match=sentence):
        registry.backbone("hub:owner/name")
