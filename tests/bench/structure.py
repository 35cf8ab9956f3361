"""How many modules of the core a fit of a frozen encoder enters, and how many pairs of them call one another.

usage: structure.py DATA BACKBONE (graftwork is whichever is first on PYTHONPATH)
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from types import FrameType

os.environ["GRAFTWORK_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"

import graftwork as gw

entered: set[str] = set()
calls: set[tuple[str, str]] = set()


def module(frame: FrameType | None) -> str:
    """The core's module that a frame runs, or the nearest one that called it; "" for none."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("graftwork."):
            return name
        frame = frame.f_back
    return ""


def watch(frame: FrameType, event: str, argument: object) -> None:
    here = frame.f_globals.get("__name__", "")
    if event != "call" or not here.startswith("graftwork.") or frame.f_code.co_name == "<module>":
        return
    entered.add(here)
    caller = module(frame.f_back)
    if caller and caller != here:
        calls.add((caller, here))


def main(data: str, backbone: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAFTWORK_CACHE"] = f"{folder}/store"
        threading.setprofile(watch)
        sys.setprofile(watch)
        gw.fit(data, backbone, out=f"{folder}/run")
        sys.setprofile(None)
    rooms = [{name.split(".")[1] for name in pair} for pair in calls]
    print(f"modules entered: {len(entered)}, calls from one into another: {len(calls)}")
    print(f"folders entered: {len({name.split('.')[1] for name in entered})}, calls from one into another: "
          f"{len({frozenset(pair) for pair in rooms if len(pair) > 1})}")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
