"""Where a fit that is under way keeps what it needs to go on: whole files only, the last two of them.

`RUN.unfinished/` beside the run's folder holds what was asked, the log, and the checkpoints; it goes when the run is
there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from graftwork.errors import GraftworkError, RunError
from graftwork.freeze.freezing import tensor_digest
from graftwork.runtime import processes
from graftwork.runtime.parallel import prefetch_map
from graftwork.specs.hub_folder import unfinished_folder

KEPT = 2


class Checkpoint(NamedTuple):
    """The state after a step: numbers and words, and tensors by name."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]


class Unfinished:
    """The folder of a fit to `run` that is under way.

    request: what is asked of it. what: the word for it, "fit" or "pretrain". notes: sentences on what was found in it.
    """

    def __init__(self, run: str | Path, request: Mapping[str, Any], what: str = "fit") -> None:
        self.request, self.what = request, what
        self.folder = unfinished_folder(Path(run))
        self.notes: list[str] = []

    def exists(self) -> bool:
        return (self.folder / "request.json").is_file() or bool(self._files())

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Make the folder and write down what is asked, by the first process. It goes again where training fails in a
        way that going on would not mend, or before there is a checkpoint.

        Raises `RunError` when it cannot be written.
        """
        if not processes.is_main_process():
            yield
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._refuse_links()
            _write_whole(self.folder / "request.json", json.dumps(self.request, ensure_ascii=False).encode())
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        except RunError:
            raise
        except BaseException as error:
            if isinstance(error, GraftworkError) or not self._files():
                self.finish()
            raise

    def _refuse_links(self) -> None:
        """Raises `RunError` for a link, through which a file elsewhere would be written."""
        for path in (self.folder, *self.folder.iterdir()):
            if path.is_symlink():
                raise RunError(f"'{path}' is a link; a {self.what} writes through none.", f"Delete it: rm '{path}'")

    def check(self) -> None:
        """Raises `RunError` naming the first thing that is asked otherwise than when the fit began."""
        file = self.folder / "request.json"
        try:
            asked = dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            why = "is damaged" if file.is_file() else "is not there"
            raise RunError(
                f"The {self.what} in '{self.folder}' cannot go on: '{file.name}' {why}.",
                "Start anew: delete that folder.",
            ) from error
        for item, now in json.loads(json.dumps(self.request)).items():
            was = asked.get(item)
            if was == now:
                continue
            words = f"its {item} changed" if item in ("data",) else f"its {item} was {_say(was)}; now it is {_say(now)}"
            raise RunError(
                f"The {self.what} in '{self.folder}' cannot go on: {words}.",
                "Ask for the same again, or start anew: delete that folder, or name another --out",
            )

    def save(self, step: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write a checkpoint, whole or not at all, and drop those before the last two.

        Raises `RunError` when it cannot be written (a full disk); those before it stay.
        """
        path = self.folder / f"step-{step:08d}.safetensors"
        temporary = self.folder / f".{path.name}.part"
        digests = dict(zip(tensors, prefetch_map(tensor_digest, tensors.values()), strict=True))
        about = {"state": json.dumps(state), "asked": self._asked(), "digests": json.dumps(digests)}
        try:
            save_file(dict(tensors), temporary, metadata={**about, "whole": _whole(about)})
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except (OSError, SafetensorError) as error:  # the latter is what a full disk is to safetensors
            temporary.unlink(missing_ok=True)
            raise self._unwritable(error) from error
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def last(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; one that is not is named in `notes`. None when there is none."""
        for path in reversed(self._files()):
            try:
                with safe_open(path, "pt") as file:
                    about = dict(file.metadata())
                    if about.pop("whole") != _whole(about):
                        raise ValueError("what it says of itself changed")
                    if about["asked"] != self._asked():
                        raise ValueError(f"it is of another {self.what}")
                    tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
                digests = json.loads(about["digests"])
                if missing := sorted(digests.keys() ^ tensors.keys()):
                    raise ValueError(f"it holds other tensors than were written, as '{missing[0]}'")
                for name, found in zip(tensors, prefetch_map(tensor_digest, tensors.values()), strict=True):
                    if found != digests[name]:
                        raise ValueError(f"'{name}' changed")
                return Checkpoint(json.loads(about["state"]), tensors)
            except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                self.notes.append(f"The checkpoint '{path.name}' is damaged ({reason}); the one before it is taken.")
        return None

    def _asked(self) -> str:
        """A digest of what is asked, but for what may change in between."""
        return hashlib.sha256(json.dumps(self.request, sort_keys=True).encode()).hexdigest()

    def logs(self) -> list[Path]:
        """What of it belongs to the run: all that loggers wrote."""
        own = {self.folder / "request.json", *self._files()}
        return sorted(path for path in self.folder.iterdir() if path not in own and not path.name.startswith("."))

    def finish(self) -> None:
        """The run is there: nothing of this is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))

    def _unwritable(self, error: Exception) -> RunError:
        reason = getattr(error, "strerror", None) or error
        held = self._files()
        kept = f"; the last one is of step {int(held[-1].stem.split('-')[1])}" if held else ""
        return RunError(
            f"A checkpoint cannot be written to '{self.folder}': {reason}{kept}.",
            f"Make room, then go on: graftwork {self.what} ... --resume",
        )


def begun(out: str | Path, resume: bool, request: Mapping[str, Any], what: str = "fit") -> Unfinished:
    """Where checkpoints of what goes to `out` are kept; checked against what was asked when it began. what: the word
    for it.

    Raises `RunError` where there is one already that is not to be gone on with, or that was asked otherwise.
    """
    unfinished = Unfinished(out, request, what)
    if not processes.is_main_process():
        return unfinished
    if not resume:
        check_anew(out, what)
    elif unfinished.exists():
        unfinished.check()
    return unfinished


def check_anew(out: str | Path, what: str = "fit") -> None:
    """Raises `RunError` where there are checkpoints of what goes to `out` already. what: the word for it."""
    unfinished = Unfinished(out, {}, what)
    if unfinished.exists():
        raise RunError(
            f"A {what} to '{out}' was stopped before its end; '{unfinished.folder}' holds its checkpoints.",
            "Go on with it: --resume, or start anew: delete that folder, or name another --out",
        )


def _whole(about: Mapping[str, str]) -> str:
    """A digest of what a checkpoint says of itself."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def _say(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"'{value}'" if isinstance(value, str) else str(value)
