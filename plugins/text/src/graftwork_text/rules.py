"""The rules of a tokenizer that somebody else wrote: what they make of a sign is bounded, and so is their time.

The library cannot be stopped while it works, so a tokenizer with patterns of its own tries each text in another process
first, which can be ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graftwork import DataError, Unreadable, how_to_raise, limits

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KNOWN = (
    r" {2,}",
    r"\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    rf"{_ENDINGS}|\p{{N}}{{1,3}}{_REST}",
    rf"{_ENDINGS}|\p{{N}}{_REST}",
)
"""Patterns whose time grows with the text alone: those of T5, DeBERTa, GPT-2, Llama 3 and Qwen 2."""

_HELPER = """
import json, sys
from tokenizers import Tokenizer
made = Tokenizer.from_str(json.loads(sys.stdin.readline()))
print("ready", flush=True)
for line in sys.stdin:
    try:
        made.encode(json.loads(line))
        print("read", flush=True)
    except BaseException as error:
        print("failed", flush=True)
"""


def check_growth(file: Path, whole: Mapping[str, Any]) -> None:
    """Raises `DataError` where the normaliser of a tokenizer.json makes more than `tokenizer_growth` signs of one."""
    growth, most = 1, limits().tokenizer_growth
    for rule in _rules(whole.get("normalizer")):
        if rule.get("type") not in ("Replace", "Prepend"):
            continue
        pattern, content = rule.get("pattern"), str(rule.get("content", rule.get("prepend", "")))
        given = pattern.get("String", "") if isinstance(pattern, dict) else ""
        growth *= max(1, -(-len(content) // max(1, len(given))))
        if growth > most:
            raise DataError(
                f"'{file}' has rules that make {growth:,} signs of one; at most {most:,} are accepted.",
                how_to_raise("tokenizer_growth", growth),
            )


def has_own_patterns(part: Mapping[str, Any]) -> bool:
    """Whether a normaliser or pre-tokenizer, as tokenizer.json has it, has patterns that are not known to be fast."""
    patterns = [rule.get("pattern") for rule in _rules(part)]
    return any(one["Regex"] not in KNOWN for one in patterns if isinstance(one, dict) and "Regex" in one)


def _rules(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, dict):
        yield part
        for inner in (*(part.get("normalizers") or ()), *(part.get("pretokenizers") or ())):
            yield from _rules(inner)


def try_text(tokenizer: str, text: str) -> None:
    """Let a tokenizer, as JSON, read a text in a process of its own.

    Raises `Unreadable` where it does not end within `tokenizer_seconds`, or fails.
    """
    key = (os.getpid(), tokenizer)
    with _LOCK:
        trial = _trials.get(key) or _Trial(tokenizer)
        _trials.clear()  # one is enough, and it ends with its last use
        _trials[key] = trial
        if reason := trial.fault(text):
            seconds = limits().tokenizer_seconds
            raise Unreadable(
                f"A text of {len(text):,} signs is not read: the patterns of the tokenizer {reason}.",
                how_to_raise("tokenizer_seconds", 10 * seconds),
            )


class _Trial:
    def __init__(self, tokenizer: str) -> None:
        self.tokenizer = tokenizer
        self.process: subprocess.Popen[bytes] | None = None

    def fault(self, text: str) -> str:
        """Why a text cannot be read, as a clause; empty if it can."""
        seconds = limits().tokenizer_seconds
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _HELPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._answer(self.tokenizer, 60)
        match self._answer(text, seconds):
            case b"read\n":
                return ""
            case b"failed\n":
                return "give up on it"
        self.process = None
        return f"do not end within {seconds} s"

    def _answer(self, words: str, seconds: int) -> bytes:
        """The line that the process writes; nothing where it was ended."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        end = threading.Timer(seconds, process.kill)
        end.start()
        try:
            process.stdin.write(json.dumps(words).encode() + b"\n")
            process.stdin.flush()
            found = process.stdout.readline()
        except OSError:
            found = b""
        finally:
            end.cancel()
        if not found:
            process.kill()
            process.wait()
        return found

    def __del__(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


_LOCK = threading.Lock()
_trials: dict[tuple[int, str], _Trial] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_LOCK=threading.Lock(), _trials={}))
