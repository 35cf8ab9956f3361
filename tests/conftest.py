"""What every test may use: no network, one thread, tiny encoders built from a config, and plugins seen in isolation."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from graftwork.plugins.loading import Plugins

with contextlib.suppress(ImportError):
    # torch.compile imports it, and it refuses to be imported after the standard library's distutils.
    import setuptools  # noqa: F401

os.environ["HF_HUB_OFFLINE"] = os.environ["GRAFTWORK_OFFLINE"] = "1"
os.environ["GRAFTWORK_CONFIG"] = os.devnull  # whoever runs the tests may have disabled something
os.environ["GRAFTWORK_ENGINE"], os.environ["GRAFTWORK_PRECISION"] = "torch", "fp32"  # tests of others ask for them
os.environ["GRAFTWORK_DECODER"] = "reader"
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"  # one arithmetic on all machines; tests of bf16 ask for it
os.environ.setdefault("OMP_NUM_THREADS", "2")

WORDS = [
    "where",
    "is",
    "my",
    "card",
    "parcel",
    "refund",
    "the",
    "lost",
    "order",
    "please",
    "help",
    "money",
    "back",
    "i",
]


@pytest.fixture(scope="module", autouse=True)
def memory_given_back() -> Iterator[None]:
    """What the tests of a file have freed goes back to the system, where the C library can do that."""
    yield
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A feature store for each test alone."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GRAFTWORK_CACHE", str(folder))
    return folder / "features"


@pytest.fixture
def plugins(graftwork_isolated: Callable[..., object]) -> Callable[..., object]:
    """Give this process only the plugin objects named: `plugins(module, ...)`; the real ones come back afterwards."""
    return graftwork_isolated


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Plugins]]:
    """Packages of tests/authors, installed as distributions beside what is there: `published("hashing_texts", ...)`.

    Each stands under its package's name with dashes, version 1.0; its hooks are in its module `plugin`.
    """
    from graftwork.plugins import loading

    def install(*packages: str) -> Plugins:
        site = tmp_path / "site"
        shutil.rmtree(site, ignore_errors=True)
        for package in packages:
            name = package.replace("_", "-")
            about = site / f"{package}-1.0.dist-info"
            about.mkdir(parents=True)
            (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (about / "entry_points.txt").write_text(f"[graftwork]\n{name} = {package}.plugin\n")
        loading.use(loading.discover())
        return loading.installed()

    places = [str(tmp_path / "site"), str(Path(__file__).with_name("authors"))]
    for place in places:
        monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]))
    yield install
    loading.use(None)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 2 layers with random weights and a tokenizer of a few words, as a folder in hub layout."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **shape)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    """A table of 40 texts in two classes that differ by a word."""
    rows = [("text", "label")]
    for number in range(20):
        rows.append((f"where is my parcel please {WORDS[number % 14]}", "delivery"))
        rows.append((f"i lost my card help {WORDS[number % 14]}", "card"))
    path = tmp_path / "messages.csv"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 12 small pictures in two classes that differ by brightness."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 128)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(low, low + 120, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.bmp")
    return tmp_path / "photos"


class Preloaded:
    """Starts `python -m MODULE` from a process that has imported the libraries; see tests/preloaded.py."""

    LATE = ("GRAFTWORK_", "PYTEST_", "PYTHONPATH", "COLUMNS", "NO_COLOR", "KMP_", "TORCHINDUCTOR_")
    """Variables that are read when a command runs, or set by a library; others are read when a library is imported."""

    def __init__(self) -> None:
        self.server: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment differs in nothing from one that is started from the beginning."""
        ours = self.environment or dict(os.environ)
        changed = {name for name in {*ours, *environment} if ours.get(name) != environment.get(name)}
        return all(name.startswith(self.LATE) for name in changed)

    def __call__(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        stdin: str = "",
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        server = self._server()
        with tempfile.TemporaryDirectory() as scratch:
            files = {name: str(Path(scratch) / name) for name in ("stdin", "stdout", "stderr")}
            Path(files["stdin"]).write_text(stdin, encoding="utf-8")
            asked = {
                "module": module,
                "arguments": list(arguments),
                "cwd": str(folder),
                "environment": dict(environment),
            }
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps({**asked, **files}).encode() + b"\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            late = threading.Timer(timeout, os.kill, (child, signal.SIGKILL))
            late.start()
            code = int(server.stdout.readline())
            late.cancel()
            said = [Path(files[name]).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess([module, *arguments], code, *said)

    def _server(self) -> subprocess.Popen[bytes]:
        if self.server is None:
            self.environment = dict(os.environ)
            command = [sys.executable, str(Path(__file__).with_name("preloaded.py"))]
            self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self.server

    def close(self) -> None:
        if self.server is not None:
            self.server.communicate()


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded]:
    """What starts commands without importing torch for each."""
    found = Preloaded()
    yield found
    found.close()


class Shell:
    """The command line as a user meets it: a process of its own."""

    def __init__(self, folder: Path, preloaded: Preloaded) -> None:
        self.folder = folder
        self.preloaded = preloaded

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command: from the libraries at hand, or from the beginning where the environment asks for others."""
        settings = {**os.environ, **environment}
        if self.preloaded.fits(settings):
            return self.preloaded("graftwork", [str(argument) for argument in arguments], self.folder, settings, stdin)
        return self.cold(*arguments, stdin=stdin, **environment)

    def cold(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command by `python -m graftwork`, which has imported nothing."""
        return subprocess.run(
            [sys.executable, "-m", "graftwork", *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *arguments: str, code: int = 0, stdin: str = "", cold: bool = False, **environment: str):
        """Run with --json: stdout must be one JSON document and nothing else, and the exit status `code`."""
        done = (self.cold if cold else self)(*arguments, "--json", stdin=stdin, **environment)
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)


@pytest.fixture
def shell(tmp_path: Path, preloaded: Preloaded) -> Shell:
    return Shell(tmp_path, preloaded)


@pytest.fixture(scope="session")
def uv() -> str:
    """The installer that set this checkout up."""
    own = Path(__file__).parents[1] / ".uv" / "bin" / "uv"
    return shutil.which("uv") or str(own)
