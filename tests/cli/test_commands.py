"""The command line in processes of its own: results, exit statuses, and one JSON document on stdout."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graftwork.cli import app

TINY = "local:{}"
ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in sorted(ROOT.rglob("*.md"))
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
]


def test_plugins_lists_every_distribution_with_its_status(shell) -> None:
    rows = shell.json("plugins")
    assert {row["distribution"] for row in rows} >= {
        "graftwork",
        "graftwork-text",
        "graftwork-image",
        "graftwork-audio",
    }
    assert all({"name", "distribution", "version", "status", "error"} <= set(row) for row in rows)
    assert {row["status"] for row in rows} == {"ok"}
    assert shell.json("plugins", GRAFTWORK_PLUGINS="")[0]["name"] == "core"


def test_backbones_lists_contracts_and_filters_by_modality(shell) -> None:
    rows = shell.json("backbones", "--modality", "audio")
    assert [row["name"] for row in rows] == ["audio/wav2vec2-base", "audio/wav2vec2-tiny"]
    assert rows[0]["contract"]["facts"]["sampling_rate"] == "16 000 Hz"
    assert {
        "name",
        "modality",
        "contract",
        "feature_dim",
        "stages",
        "size_bytes",
        "license",
        "source",
        "at_hand",
    } <= set(rows[0])
    error = shell.json("backbones", "--modality", "smell", code=2)["error"]
    assert error["type"] == "UnknownName"
    assert error["message"] == "No modality is called 'smell'; the nearest are audio, image, series, text."


def test_fit_evaluate_and_predict_in_turn(shell, messages, tiny_bert) -> None:
    fitted = shell.json("fit", str(messages), "--backbone", TINY.format(tiny_bert), "--out", "run", cold=True)
    assert fitted["run"] == "run"
    assert set(fitted) >= {
        "run", "task", "backbone", "tap", "freeze", "agreement", "metrics", "n_train", "n_val", "timings", "cache", "certificate",
    }  # fmt: skip
    assert set(fitted["agreement"]) >= {"steps", "warnings"}
    assert set(fitted["cache"]) == {"hits", "misses"}
    assert fitted["certificate"]["ok"] is True
    assert shell.json("evaluate", "run", str(messages), cold=True)["metrics"]["accuracy"] == 1.0
    answers = shell.json("predict", "run", "-", "i lost my card", cold=True, stdin="where is my parcel\n\nmy card\n")
    assert [(a["input"], a["label"]) for a in answers] == [
        ("where is my parcel", "delivery"),
        ("my card", "card"),
        ("i lost my card", "card"),
    ]
    assert all(set(a) == {"input", "label", "probabilities"} for a in answers)


def dark_and_light(folder: Path) -> None:
    from PIL import Image

    for label, shade in (("dark", 20), ("light", 230)):
        (folder / label).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (32, 32), (shade + number,) * 3).save(folder / label / f"{number}.png")


def test_predict_reads_a_table_row_by_row_and_says_which_file_is_missing(shell, messages, tiny_bert, tmp_path) -> None:
    shell.json("fit", str(messages), "--backbone", TINY.format(tiny_bert), "--out", "run")
    rows = ["where is my parcel", "i lost my card", "my card"]
    (tmp_path / "new.csv").write_text("\n".join(["text,label", *(f"{row},?" for row in rows)]))
    (tmp_path / "odd.csv").write_text("\n".join(["remark,note", *(f"-,{row}" for row in rows)]))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(rows[1])
    (tmp_path / "nothing").mkdir()
    answers = shell.json("predict", "run", "new.csv")
    assert [one["input"] for one in answers] == rows
    assert answers == shell.json("predict", "run", *rows) == shell.json("predict", "run", "odd.csv", "--input", "note")
    assert shell.json("predict", "run", "odd.csv", code=2)["error"]["hint"] == "Name it: --input COLUMN"
    (from_file,) = shell.json("predict", "run", "texts")
    assert from_file["probabilities"] == pytest.approx(answers[1]["probabilities"], rel=1e-4), "but for rounding"
    for missing in ("old.csv", "old.txt", "deep/old.parquet"):
        error = shell.json("predict", "run", missing, code=2)["error"]
        assert error["message"] == f"'{missing}' does not exist; files, folders, tables and texts are accepted."
        assert error["hint"] == f"If it is a text, write: graftwork predict RUN --text {missing}"
        assert shell.json("predict", "run", "--text", missing)[0]["input"] == missing
    assert shell.json("predict", "run", "--text", "new.csv")[0]["input"] == "new.csv"
    assert shell.json("predict", "run", "see old.csv")[0]["input"] == "see old.csv"
    assert shell.json("predict", "run", "word " * 400)[0]["label"] in ("card", "delivery")
    assert shell.json("predict", "run", "nothing", code=2)["error"]["message"] == "The folder 'nothing' is empty."


def test_predict_refuses_a_table_of_another_modality(shell, tmp_path) -> None:
    dark_and_light(tmp_path / "photos")
    shell.json("fit", "photos", "--out", "run")
    (tmp_path / "paths.csv").write_text("file\nphotos/light/0.png\nphotos/dark/0.png\n")
    assert [one["label"] for one in shell.json("predict", "run", "paths.csv")] == ["light", "dark"]
    (tmp_path / "texts.csv").write_text("text\nhello there\n")
    error = shell.json("predict", "run", "texts.csv", code=2)["error"]
    assert error["message"] == "The column 'text' of 'texts.csv' holds text, and this run reads image."
    error = shell.json("predict", "run", "--text", "hello", code=2)["error"]
    assert error["message"] == "This run reads image files, not texts."


def test_a_folder_of_photos_is_predicted_file_by_file(shell, tmp_path) -> None:
    dark_and_light(tmp_path / "photos")
    shell.json("fit", "photos", "--out", "run")
    answers = shell.json("predict", "run", "photos/light", "photos/dark/0.png")
    assert [Path(a["input"]).name for a in answers] == ["0.png", "1.png", "2.png", "3.png", "0.png"]
    assert [a["label"] for a in answers] == ["light"] * 4 + ["dark"]


def test_fit_alone_takes_a_starter_says_which_and_names_what_to_do_next(shell, messages) -> None:
    done = shell("fit", str(messages))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:3] == [
        "Read as table: 40 rows from column 'text', labels from column 'label'.",
        "  labels: delivery 20, card 20",
        "Column 'text' holds text; taking text/minilm. Choose another: --backbone NAME",
    ]
    assert done.stdout.splitlines()[-1] == "Next: graftwork predict runs/messages-minilm 'a new message'"
    assert (shell.folder / "runs/messages-minilm/run.json").is_file()
    assert "\x1b" not in done.stdout + done.stderr
    assert "%" not in done.stderr, "a progress bar was drawn although nobody watches"


def test_a_mismatch_exits_2_with_its_sentence_before_weights_are_looked_for(shell, messages) -> None:
    for json_wanted in (False, True):
        done = shell("fit", str(messages), "--backbone", "image/resnet18", *(["--json"] if json_wanted else []))
        assert done.returncode == 2
        words = (
            "Backbone 'image/resnet18' reads images; column 'text' holds text (40 rows).",
            "Text backbones installed: text/bert-base, text/glove-50d, text/glove-50d-idf, text/minilm. "
            "List all: graftwork backbones --modality text",
        )
        if json_wanted:
            assert json.loads(done.stdout) == {
                "error": {"type": "InputMismatch", "message": words[0], "hint": words[1]}
            }
        else:
            assert done.stderr.splitlines()[2:] == [" ".join(words)]
            assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["fit", "nowhere"], "DataError", "'nowhere' does not exist"),
        (["fit"], "UsageError", "Missing argument 'DATA'."),
        (["fit", "x", "--bakbone", "y"], "UsageError", "No such option: --bakbone"),
        (["fit", "x", "--seed", "many"], "UsageError", "'many' is not a valid int"),
        (["evaluate", "nowhere", "x"], "RunError", "'nowhere' is not a run"),
        (["predict", "nowhere", "x"], "RunError", "'nowhere' is not a run"),
        (["predict", "nowhere", "-"], "UsageError", "Standard input is empty"),
        (["fly"], "UsageError", "No such command 'fly'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(shell, arguments, kind, words) -> None:
    error = shell.json(*arguments, code=2)["error"]
    assert error["type"] == kind
    assert words in error["message"]
    assert error["hint"]


def test_offline_says_which_weights_it_wanted(shell, messages, tmp_path) -> None:
    error = shell.json(
        "fit", str(messages), "--backbone", "text/bert-base", "--offline", code=2, HF_HUB_CACHE=str(tmp_path)
    )["error"]
    assert error["type"] == "WeightsUnavailable"
    assert "'google-bert/bert-base-uncased' on the Hugging Face hub" in error["message"]


def test_predictions_of_nothing_readable_exit_2(shell, messages, tiny_bert) -> None:
    shell.json("fit", str(messages), "--backbone", TINY.format(tiny_bert), "--out", "run")
    assert shell.json("predict", "run", "  ", code=2)["error"]["message"] == "'row 1' is an empty text."


def test_a_fault_of_ours_exits_1_with_the_way_to_see_it(monkeypatch, capsys) -> None:
    from graftwork.plugins import loading

    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.delenv("GRAFTWORK_DEBUG", raising=False)
    monkeypatch.setattr(loading, "installed", broken)
    assert app._run(["plugins", "--json"], json=True) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == "This is a fault of graftwork's: ZeroDivisionError: division by zero"
    assert "GRAFTWORK_DEBUG=1" in error["hint"]


def test_commands_are_the_modules_of_their_names() -> None:
    shared = {"__init__", "app", "options", "progress", "results", "terminal"}
    modules = {file.stem for file in Path(app.__file__).parent.glob("*.py")} - shared
    assert modules == {*app.COMMANDS, *app.GROUPS}


def test_help_names_every_command_of_the_design(shell) -> None:
    words = shell("--help").stdout
    for command in ("plugins", "backbones", "check", "fit", "evaluate", "predict", "demo", "cache", "new", "doctor"):
        assert command in words


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_pages_show_only_commands_and_options_that_exist(page) -> None:
    line = app.command_line()
    commands = {command.name: command for command in line.registered_commands}
    for group in line.registered_groups:
        commands |= {f"{group.name} {command.name}": command for command in group.typer_instance.registered_commands}
    groups = "|".join(f"{group.name} [a-z]+" for group in line.registered_groups)
    for name, rest in re.findall(rf"^graftwork ({groups}|[a-z]+)(.*)$", page.read_text(), re.M):
        assert name in commands, f"graftwork {name}"
        parameters = inspect.signature(commands[name].callback).parameters
        for option in re.findall(r"--([a-z-]+)", rest):
            assert option.replace("-", "_") in parameters, f"graftwork {name} --{option}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_results_that_find_no_room_are_said_in_a_sentence() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "graftwork", "backbones", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "The results cannot be written to stdout: No space left on device. Make room, " in done.stderr
    assert "Traceback" not in done.stderr


def test_who_reads_only_the_first_results_is_no_fault() -> None:
    command = [sys.executable, "-m", "graftwork", "backbones", "--json"]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.stdout is not None
    assert done.stderr is not None
    done.stdout.close()
    assert done.stderr.read() == ""
    done.stderr.close()
    assert done.wait() == 0
