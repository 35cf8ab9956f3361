"""A setting is declared once: its option, checks, use and part in a resumed training follow from its field."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import graftwork as gw
from graftwork.specs.settings import Settings

DECLARED = """
import sys
from dataclasses import dataclass
from graftwork.specs import settings

@dataclass(frozen=True)
class More(settings.Settings):
    momentum: float = settings.setting(
        0.9, "Of the steps before.", applies=("steps", "pretrain"), least=0, most=1, accepts="a part, 0 to 1"
    )
    shrinkage: int | None = settings.setting(None, "Of features.", applies=("exact",), least=1, accepts="1 or more")
    rule: str = settings.setting("mean", "mean or sum.", choices=("mean", "sum"), resumable=True, option="--by")

settings.Settings = More
"""


def command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line of a process in which `Settings` has three fields more."""
    code = DECLARED + "from graftwork.cli.app import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def option_names(page: str) -> set[str]:
    return {words[0] for line in page.splitlines() if (words := line.split()) and words[0].startswith("--")}


def test_a_field_makes_an_option_where_it_applies_with_its_help_and_default() -> None:
    page = command("fit", "--help").stdout
    assert {"--momentum", "--shrinkage", "--by"} <= option_names(page)
    assert "Of the steps before.  [default: 0.9]" in page
    assert option_names(command("pretrain", "--help").stdout) & {"--momentum", "--shrinkage", "--by"} == {"--momentum"}
    assert not option_names(command("freeze", "--help").stdout) & {"--momentum", "--shrinkage", "--by"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--freeze", "all", "--momentum", "2"], "--momentum 2.0 is not accepted; it is a part, 0 to 1."),
        (["--freeze", "all", "--by", "max"], "--by max is not known; mean, sum are. Write: --by sum"),
        (["--momentum", "0.5"], "without steps, so there is nothing that --momentum could change."),
        (["--shrinkage", "0"], "--shrinkage 0 is not accepted; it is 1 or more."),
    ],
)
def test_a_field_is_checked_by_its_range_its_choices_and_where_it_applies(
    messages, tiny_bert, tmp_path, arguments, sentence
) -> None:
    done = command("fit", str(messages), "--backbone", f"local:{tiny_bert}", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_field_reaches_the_record_of_a_fit_and_what_a_resumed_one_must_repeat(messages, tiny_bert) -> None:
    code = DECLARED + (
        "import graftwork as gw\n"
        f"run = gw.fit({str(messages)!r}, 'local:{tiny_bert}', shrinkage=3)\n"
        "assert run.record['settings']['shrinkage'] == 3 and 'momentum' not in run.record['settings']\n"
        "assert More.applicable('pretrain')[-1] == 'momentum' and More.applicable('exact')[-1] == 'shrinkage'\n"
        "fixed = More(rule='sum').fixed()\n"
        "assert fixed['momentum'] == 0.9 and 'rule' not in fixed"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_settings_apply_where_they_have_a_meaning() -> None:
    assert Settings.applicable("exact") == ("balance", "augment", "views")
    assert Settings.applicable("pretrain") == (
        "epochs", "lr", "batch_size", "optimizer", "weight_decay", "warmup", "clip", "augment", "checkpoint_every", "loggers",
    )  # fmt: skip
    assert set(Settings.applicable("steps")) == set(Settings.declared())


def test_a_resumed_training_may_change_what_does_not_change_weights() -> None:
    free = set(Settings.declared()) - set(Settings().fixed())
    assert free == {"checkpoint_every", "loggers", "tensorboard"}


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"epochs": "3"}, "--epochs 3 is not accepted; it is a whole number, 1 or more."),
        ({"lr": "fast"}, "--lr fast is not accepted; it is 0 or more."),
        ({"lr": float("nan")}, "--lr nan is not accepted; it is 0 or more."),
        ({"clip": None}, "--clip None is not accepted; it is 0 or more."),
        ({"augment": "yes"}, "--augment yes is not accepted; it is True or False."),
        ({"optimizer": "adam"}, "--optimizer adam is not known; adamw, sgd, lion are."),
        ({"loggers": "csv"}, "--logger csv is not accepted; it is a tuple of names."),
        ({"loggers": [1]}, "--logger (1,) is not accepted; it is a tuple of names."),
    ],
    ids=str,
)
def test_values_of_another_kind_are_refused(option, sentence) -> None:
    with pytest.raises(gw.UsageError) as raised:
        Settings.of(option)
    assert raised.value.message == sentence


def test_a_list_of_loggers_is_taken_as_a_tuple() -> None:
    assert Settings.of({"loggers": ["csv", "wandb"]}).loggers == ("csv", "wandb")


def test_the_documentation_of_settings_says_each() -> None:
    for name, declared in Settings.declared().items():
        assert declared.help
        assert f"{name}: {declared.help}" in (Settings.__doc__ or "")


def test_every_number_and_flag_says_what_is_accepted() -> None:
    for declared in Settings.declared().values():
        assert bool(declared.accepts) != bool(declared.choices)
