"""Libraries imported in a process of their own: one that is broken breaks nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST = 120
"""Seconds after which an import is given up."""

CODE = """
import importlib, json, sys
def say(**said):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps(said) + "\\n")
for name in sys.argv[2:]:
    say(begun=name)
    try:
        module = importlib.import_module(name)
        if name == "torch":
            cuda, mps = module.version.cuda, getattr(module.backends, "mps", None)
            count = module.cuda.device_count() if module.cuda.is_available() else 0
            gpus = [module.cuda.get_device_properties(number) for number in range(count)]
            say(devices={
                "threads": module.get_num_threads(),
                "gpus": [{"name": gpu.name, "memory": gpu.total_memory} for gpu in gpus],
                "mps": bool(mps and mps.is_available()),
                "built_for": f"CUDA {cuda}" if cuda else "ROCm" if module.version.hip else "the processor alone",
            })
    except BaseException as error:
        words = (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
        say(failed=name, why=f"{type(error).__name__}: {words}")
        if name == "torch":
            break  # what needs it would fail for the same reason
say(begun=None)
"""


@dataclass
class Probed:
    """failed: why a library could not be imported, by name. devices: what torch sees; empty where it fails."""

    failed: dict[str, str] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)


def probe(libraries: Sequence[str]) -> Probed:
    """Import the libraries, torch first, and ask it for its devices. After a torch that fails no other is tried."""
    found, last = Probed(), None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said"
        command = [sys.executable, "-P", "-c", CODE, str(file), *sorted(libraries, key=lambda name: name != "torch")]
        try:
            code = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False).returncode
            ended = f"{signal.Signals(-code).name} ends the process" if code < 0 else f"Python ends with status {code}"
        except subprocess.TimeoutExpired:
            ended = f"it takes more than {LONGEST} s"
        for line in file.read_text().splitlines() if file.is_file() else ():
            said = json.loads(line)
            last = said.get("begun", last)
            found.devices.update(said.get("devices", {}))
            if "failed" in said:
                found.failed[said["failed"]] = said["why"]
    if last is not None:
        found.failed[last] = ended
    return found
