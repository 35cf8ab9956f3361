"""`graftwork plugins NAME` and `--kind`: all that a plugin brings, and all that is installed of a kind."""

from __future__ import annotations

import re

import pytest

from graftwork.plugins.loading import KINDS


def test_a_plugin_is_shown_with_all_that_it_brings(shell) -> None:
    (whole,) = shell.json("plugins", "ordinal")
    assert (whole["distribution"], whole["status"]) == ("graftwork-ordinal", "ok")
    (task,) = whole["brings"]["tasks"]
    assert (task["name"], task["heads"], task["names"]) == ("ordinal", ["cumulative-link"], True)
    assert shell.json("plugins", "graftwork-ordinal") == [whole]
    said = shell("plugins", "text").stdout
    assert "text/minilm" in said
    assert "model types: bert, camembert" in said
    assert "sampling" not in said


def test_a_name_that_no_plugin_has_is_answered_with_the_nearest(shell) -> None:
    error = shell.json("plugins", "ordnal", code=2)["error"]
    assert error["message"] == "No plugin is called 'ordnal'; the nearest is ordinal."
    assert error["hint"].startswith("Installed are audio, audio-starter, core, ")
    error = shell.json("plugins", "ordinal", "--kind", "tasks", code=2)["error"]
    assert error["hint"] == "Write: graftwork plugins --kind tasks"


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_installed_of_a_kind_is_listed(shell, kind) -> None:
    brought = {name for report in shell.json("plugins") for name in report["provides"].get(kind, ())}
    rows = shell.json("plugins", "--kind", kind.replace("_", "-"))
    assert {row["name"] for row in rows} == brought
    assert all(row["plugin"] and row["distribution"] and row["summary"] for row in rows)


def test_what_is_no_kind_is_answered_with_the_nearest(shell) -> None:
    error = shell.json("plugins", "--kind", "policies", code=2)["error"]
    assert (
        error["message"]
        == "Plugins bring nothing that is called 'policies'; the nearest are freeze_policies, modalities, objectives."
    )
    assert error["hint"] == f"They bring {', '.join(KINDS)}."


def test_help_names_what_is_installed(shell, tmp_path) -> None:
    def said(*words: str, **environment: str) -> str:
        return re.sub(r"\s+", " ", shell.cold(*words, "--help", **environment).stdout).replace("- ", "-")

    words = said("fit")
    assert "What the labels are: classify, multilabel, regress, " in words
    assert "ordinal" in words
    assert "Which stages train: head, all, last, " in words
    assert "cumulative-link" in words
    assert "What it learns: supervised, distill, " in said("pretrain")
    assert "What the labels are: classify, multilabel, regress. " in said("fit", GRAFTWORK_PLUGINS="")
    (tmp_path / "broken.toml").write_text("[")
    words = said("fit", GRAFTWORK_CONFIG=str(tmp_path / "broken.toml"))
    assert "What the labels are: those of graftwork plugins --kind tasks." in words
