"""A bar for what takes over a second, and only where somebody watches."""

from __future__ import annotations

import io
import sys

import pytest

from graftwork.runtime import progress


class Terminal(io.StringIO):
    def __init__(self, watched: bool) -> None:
        super().__init__()
        self.watched = watched

    def isatty(self) -> bool:
        return self.watched


@pytest.mark.parametrize(("watched", "seconds", "drawn"), [(True, 2.0, True), (True, 0.1, False), (False, 2.0, False)])
def test_a_bar_is_drawn_on_a_terminal_after_a_second(monkeypatch, watched, seconds, drawn) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock) * seconds)
    terminal = Terminal(watched)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress.track(iter("abc"), "Reading headers", 3)) == ["a", "b", "c"]
    assert ("Reading headers" in terminal.getvalue()) is drawn


def test_a_bar_counts_sizes_where_items_have_them(monkeypatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock) * 2.0)
    terminal = Terminal(True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress.track(iter([10, 30]), "Fetching photos", 80, size=lambda count: count)) == [10, 30]
    assert "50%" in terminal.getvalue()
