"""Servers on the loopback for tests of addresses: S3, the web, and a proxy that drops connections."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import graftwork as gw
from graftwork.data.remote import fetching


class Dropping:
    """A TCP proxy in front of a server. Each request has a connection of its own, and one in five of them, drawn by a
    seed, breaks off amid the answer. It counts connections, those that were dropped, and bytes that were sent."""

    def __init__(self, port: int, seed: int = 0) -> None:
        self.target, self.random = port, random.Random(seed)
        self.connections = self.dropped = self.sent = 0
        self._dooms: list[bool] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if not self._dooms:
                self._dooms = self.random.sample([True, False, False, False, False], 5)
            self.connections += 1
            threading.Thread(target=self._serve, args=(client, self._dooms.pop()), daemon=True).start()

    def _serve(self, client: socket.socket, drop: bool) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.target)) as server:
            asked = client.recv(1 << 16)
            server.sendall(asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            while piece := server.recv(1 << 16):
                if drop:
                    self.dropped += 1
                    client.sendall(piece[: len(piece) // 2])
                    return
                client.sendall(piece)
                self.sent += len(piece)

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


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback is a network too. Tries follow each other at once."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("GRAFTWORK_OFFLINE")
    monkeypatch.setattr(fetching, "WAIT", 0.001)


@pytest.fixture
def web(online: None, tmp_path: Path) -> Iterator[Web]:
    """A web server for the folder `web`."""
    (tmp_path / "web").mkdir()
    server = Web(tmp_path / "web")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of an S3 server."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


class Bucket:
    """A bucket of its own for a test. address: of S3 in it; upload: files to it; proxy: what lies before the server."""

    def __init__(self, port: int, proxy: Dropping, name: str) -> None:
        import boto3

        self.proxy, self.name = proxy, name
        self._client: Any = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        self._client.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=content)

    def upload(self, folder: Path) -> str:
        """Every file of a folder, under its name."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(str(file.relative_to(folder.parent)), file.read_bytes())
        return f"s3://{self.name}/{folder.name}/"


@pytest.fixture
def bucket(online: None, s3_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket on the loopback behind a proxy that drops one connection in five."""
    from s3fs import S3FileSystem

    proxy = Dropping(s3_port)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    yield Bucket(s3_port, proxy, f"bucket-{hashlib.md5(str(tmp_path).encode()).hexdigest()}")
    S3FileSystem.clear_instance_cache()
    proxy.close()


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ViT of one layer with random weights."""
    import torch
    from transformers import ViTConfig, ViTModel

    folder = tmp_path_factory.mktemp("tiny-vit")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ViTModel(ViTConfig(image_size=32, patch_size=16, **shape), add_pooling_layer=False).save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2}
    numbers = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_rescale": True, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps({**processor, **numbers, "do_resize": True}))
    return f"local:{folder}"


@pytest.fixture
def same_fit(tiny_vit: str) -> Callable[..., None]:
    """Fit two sources, and compare the runs: figures, labels, weights, bit for bit."""
    import torch

    import graftwork as gw

    def compare(one: Any, other: Any, stream: bool = False) -> None:
        read = gw.stream if stream else gw.data
        runs = [gw.fit(read(source), tiny_vit, cache=False, precision="fp32") for source in (one, other)]
        left, right = (run.record for run in runs)
        for name in ("metrics", "labels", "n_train", "n_val", "n_test", "weights_digest", "targets"):
            assert left[name] == right[name], name
        weights = [run._head.state_dict() for run in runs]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    return compare


def _task(name: str, kind: str, modality: str, names: bool = True) -> gw.TaskSpec:
    factory = "graftwork.tasks.classify:Classify"  # which is never called
    return gw.TaskSpec(name, factory, kind, ("linear",), annotation=kind, modality=modality, names=names)


LABEL_TASKS = (
    _task("tag", "spans", "text"),
    _task("detect", "boxes", "image"),
    _task("segment", "mask", "image"),
    _task("transcribe", "transcript", "audio", names=False),
    _task("sounds", "spans", "audio"),
)


@pytest.fixture
def formats(plugins) -> Callable[..., None]:
    """Bring formats of label files: `formats(spec, ...)`, beside tasks of every kind, and texts, images and sound."""
    from graftwork_audio import plugin as audio
    from graftwork_image import plugin as image
    from graftwork_text import plugin as text

    def bring(*specs: gw.AnnotationSpec) -> None:
        @gw.hookimpl
        def graftwork_annotations() -> Iterator[gw.AnnotationSpec]:
            yield from specs

        @gw.hookimpl
        def graftwork_tasks() -> Iterator[gw.TaskSpec]:
            yield from LABEL_TASKS

        ours = SimpleNamespace(
            api_version=1, graftwork_annotations=graftwork_annotations, graftwork_tasks=graftwork_tasks
        )
        plain = [
            SimpleNamespace(api_version=1, __name__=it.__name__, graftwork_modalities=it.graftwork_modalities)
            for it in (text, image, audio)
        ]
        plugins(*plain, ours)

    return bring


@pytest.fixture
def label_tasks(formats) -> None:
    """Tasks of every kind, and no format of label files."""
    formats()
