"""The command line: finds the command that is asked for, and turns errors into sentences and exit codes.

Exit 0 done, 2 the request cannot be met, 1 a fault of ours or of a plugin.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from graftwork.cli.terminal import document, results_alone, say
from graftwork.errors import GraftworkError
from graftwork.runtime.stopping import Stopped

COMMANDS = (
    "plugins",
    "backbones",
    "machine",
    "doctor",
    "check",
    "freeze",
    "rank",
    "fit",
    "compare",
    "pretrain",
    "evaluate",
    "predict",
    "demo",
)
GROUPS = ("cache", "new")
"""Modules of this folder: a command is the function of the same name, a group of commands is its `app`."""

ALONE: set[Callable[..., Any]] = set()
"""Commands that have stdout for their results alone."""

# click's usage errors, from the copy of it that typer itself raises.
USAGE_ERRORS: Any = tuple(
    {base for base in typer.BadParameter.__mro__ if base.__name__ in ("UsageError", "ClickException")}
)


class Interrupted(Exception):
    """A command that Ctrl-C ended: typer would turn it into a status without a word."""


class Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error


class Command(TyperCommand):
    """A command whose help names what is installed: "{tasks}" in the help of an option stands for the tasks."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for option in self.params:
            if words := getattr(option, "help", None):
                vars(option)["help"] = re.sub(r"\{([a-z_]+)\}", lambda found: _installed(found[1]), words)
        super().format_help(ctx, formatter)


def _installed(kind: str) -> str:
    """The names that are installed of a kind; where no plugin can be loaded, how to list them."""
    from graftwork.plugins.loading import installed

    try:
        names = installed().registered[kind]
    except GraftworkError:
        return f"those of graftwork plugins --kind {kind.replace('_', '-')}"
    return ", ".join(names) or "none installed"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # By default garbage is collected so often while libraries load that a warm fit takes 4 % more.
    gc.set_threshold(50_000, 20, 20)
    code = _run(arguments, json="--json" in arguments)
    with suppress(OSError):  # said already
        sys.stdout.flush()
    os.dup2(2, 1)  # what plugins print when the process ends is no result either
    sys.exit(code)


def command_line(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command that the arguments name, or all of them: to import and look into all takes longer than listing."""
    app = typer.Typer(
        name="graftwork",
        cls=Commands,
        help="Transfer learning for images, text and audio. Point it at labelled data and get a trained, proven model.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)  # so that a single command has a name too
    asked = [name for name in arguments[:1] if name in COMMANDS + GROUPS]
    for name in asked or COMMANDS + GROUPS:
        module = import_module(f"graftwork.cli.{name}")
        if name in GROUPS:
            for one in module.app.registered_commands:
                one.callback, one.cls = _alone(one.callback), Command
            app.add_typer(module.app, name=name)
        else:
            app.command(name, cls=Command)(_alone(getattr(module, name)))
    return app


def _alone(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with stdout for its results alone; one that has it already as it is."""
    if command in ALONE:
        return command

    @wraps(command)
    def run(**options: Any) -> Any:
        try:
            with results_alone():
                return command(**options)
        except BrokenPipeError:  # who read the results has read enough; typer would make it a failure
            return 0

    ALONE.add(run)
    return run


def _run(arguments: list[str], *, json: bool) -> int:
    try:
        app = command_line(arguments)
        returned: Any = app(args=arguments, prog_name="graftwork", standalone_mode=False)
        return returned if isinstance(returned, int) else 0
    except USAGE_ERRORS as error:
        command = error.ctx.command_path if error.ctx else "graftwork"
        _failed("UsageError", _sentence(error.format_message()), f"See: {command} --help", json)
        return 2
    except (typer.Abort, KeyboardInterrupt, Interrupted) as error:
        if isinstance(stopped := error.__cause__, Stopped):
            _failed("Interrupted", stopped.message, stopped.hint, json)
            return 128 + stopped.number
        hint = "Nothing half-written was left behind; a fit that trains by steps goes on with --resume."
        _failed("Interrupted", "Interrupted.", hint, json)
        return 130
    except BaseException as error:
        from graftwork.plugins.faults import plugin_fault

        error = plugin_fault(error) or error
        if os.environ.get("GRAFTWORK_DEBUG") and not (isinstance(error, GraftworkError) and error.exit_code == 2):
            raise
        if isinstance(error, GraftworkError):
            _failed(type(error).__name__, error.message, error.hint, json)
            return error.exit_code
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        _failed(
            "Fault",
            f"This is a fault of graftwork's: {type(error).__name__}: {reason}",
            "See where: set GRAFTWORK_DEBUG=1 and run it again.",
            json,
        )
        return 1


def _failed(kind: str, message: str, hint: str, json: bool) -> None:
    if json:
        with suppress(OSError, GraftworkError):
            document({"error": {"type": kind, "message": message, "hint": hint}})
            sys.stdout.flush()
            return
    say(f"{message} {hint}".strip())


def _sentence(words: str) -> str:
    words = words.strip()
    return words if words.endswith((".", "!", "?")) else f"{words}."
