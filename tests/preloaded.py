"""A Python that has imported the libraries, from which commands are started: python tests/preloaded.py

Importing torch, torchvision and transformers takes a command longer than all that it then does. This process imports them
once. For each request, a line of JSON on its standard input, it forks: the child is a process of its own with the folder,
environment, files and arguments that were asked for, imports graftwork afresh and ends as `python -m` would, but that it
leaves its memory to the system. Nothing of graftwork is imported here, and nothing of a library is called.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import sys
import threading

LIBRARIES = (
    "numpy", "PIL.Image", "soundfile", "safetensors.torch", "torch", "torchvision", "torchvision.transforms.v2", "accelerate",
    "sklearn.linear_model", "sklearn.metrics", "typer", "rich.progress", "transformers.models.bert.modeling_bert",
    "transformers.models.wav2vec2.modeling_wav2vec2", "pytest",
)  # fmt: skip


def serve() -> dict:
    """Fork for each request and say how its child ended; in a child, return what is asked of it."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    for line in requests:
        if (child := os.fork()) == 0:
            return json.loads(line)
        answers.write(b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        answers.write(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(asked: dict) -> None:
    """Take on the folder, environment and files of a request; sys.path is what `python -m` would make of them."""
    os.closerange(3, 64)
    for number, (name, flags) in enumerate(
        [("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_CREAT), ("stderr", os.O_WRONLY | os.O_CREAT)]
    ):
        file = os.open(asked[name], flags)
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(asked["environment"])
    asked_for = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [place for place in sys.path[1:] if place not in own]
    sys.path[:] = [asked["cwd"], *(place for place in asked_for if place), *rest]
    importlib.invalidate_caches()
    sys.argv[1:] = asked["arguments"]


def run(module: str) -> int:
    """Run it as `python -m` does; returns what the process ends with."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # a child that looks for garbage would copy every page
    request = serve()
    become(request)
    code = run(request["module"])
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
