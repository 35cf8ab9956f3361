"""Listing and help load nothing heavy and start fast: proven in fresh processes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "torchaudio", "transformers", "datasets", "numpy", "PIL", "soundfile", "pyarrow")


def heavy_after(code: str) -> list[str]:
    code += f"\nimport sys; print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    return ast.literal_eval(line.removeprefix("LOADED "))


def test_importing_graftwork_loads_nothing_heavy() -> None:
    assert heavy_after("import graftwork") == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins"], ["backbones"], ["backbones", "--json"], ["fit", "--help"], ["doctor"]]
)
def test_listing_commands_load_nothing_heavy(arguments: list[str]) -> None:
    assert heavy_after(f"from graftwork.cli.app import _run; assert _run({arguments!r}, json=False) == 0") == []


def test_a_command_loads_no_other_commands() -> None:
    from graftwork.cli.app import COMMANDS, GROUPS

    code = "import sys; from graftwork.cli.app import _run; assert _run(['backbones', '--json'], json=True) == 0"
    code += f"\nprint('LOADED', [n for n in {COMMANDS + GROUPS!r} if f'graftwork.cli.{{n}}' in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED ['backbones']"


def test_the_observation_of_a_table_of_texts_needs_no_torch(messages) -> None:
    loaded = heavy_after(f"import graftwork as gw; gw.data({str(messages)!r})")
    assert not {"torch", "transformers", "datasets"} & set(loaded)


def test_every_public_name_exists() -> None:
    import graftwork

    for name in graftwork.__all__:
        assert getattr(graftwork, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        graftwork.nonsense  # noqa: B018


TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds in which the system counts the time of a process."""


def seconds(arguments: list[str], compiled: Path) -> float:
    """Of a processor that a command takes, and does not wait for others; it finds modules compiled, as all but the first
    after an installation do."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(compiled)
    before = os.times()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True, env=environment)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("command", ["--help", "plugins", "backbones"])
def test_listing_takes_at_most_four_times_the_import_of_typer(command: str, tmp_path: Path) -> None:
    """The least of eight each, in turns: what else the machine does only ever adds."""
    sides = (["-m", "graftwork", command], ["-c", "import typer"])
    ours, typer = (min(took) for took in zip(*([seconds(s, tmp_path) for s in sides] for _ in range(8)), strict=True))
    assert ours <= 4 * typer + TICK
