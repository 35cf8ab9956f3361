"""The command that installs a package into the environment of this process."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec


def install_command(requirements: Iterable[str], *, again: bool = False) -> str:
    """With pip where the environment has it, else with uv, else with the pip that Python brings.

    again: install anew what is there, and nothing that it requires.
    """
    wanted = shlex.join([*(["--force-reinstall", "--no-deps"] if again else []), *requirements])
    python = shlex.quote(sys.executable)
    if find_spec("pip") is not None:
        return f"{python} -m pip install {wanted}"
    if shutil.which("uv"):
        return f"uv pip install --python {python} {wanted}"
    return f"{python} -m ensurepip && {python} -m pip install {wanted}"
