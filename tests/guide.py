"""Runs every command of the guide for authors, from nothing to published, with wheels of this checkout and an index of
its own: python tests/guide.py UV WHEELS

`pip` is answered by uv, which finds the same packages in seconds; `twine upload` goes to a server in this process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Index(BaseHTTPRequestHandler):
    """As much of a package index as an upload asks for."""

    folder: Path

    def do_POST(self) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
        form = message_from_bytes(head + self.rfile.read(int(self.headers["Content-Length"])))
        for part in form.walk():
            name, content = part.get_filename(), part.get_payload(decode=True)
            if name and isinstance(content, bytes):
                (self.folder / Path(name).name).write_bytes(content)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


def commands(page: Path) -> str:
    """The shell blocks of a page, in order."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S))


def main(uv: str, wheels: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published"
        published.mkdir()
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Index,), {"folder": published}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = {
            "UV_FIND_LINKS": f"{wheels},{published}",
            "UV_CONSTRAINT": str(ROOT / "constraints.txt"),
            "TWINE_REPOSITORY_URL": f"http://127.0.0.1:{server.server_port}/",
            "TWINE_USERNAME": "author",
            "TWINE_PASSWORD": "secret",
            "TWINE_NON_INTERACTIVE": "1",
        }
        script = f'set -euo pipefail\npip() {{ "{uv}" pip "$@"; }}\n{commands(ROOT / "docs" / "authors.md")}'
        done = subprocess.run(["bash", "-c", script], cwd=folder, env={**os.environ, **settings}, check=False)
        server.shutdown()
        found = sorted(file.name for file in published.iterdir())
        assert done.returncode == 0, f"a command of docs/authors.md failed with {done.returncode}"
        assert found == ["my_encoder-0.1.0-py3-none-any.whl", "my_encoder-0.1.0.tar.gz"], found
    print("Guide for authors: every command ran, and the plugin was published and installed.")


if __name__ == "__main__":
    main(*sys.argv[1:])
