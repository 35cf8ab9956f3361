"""`graftwork check` and what it shares with `fit`, as a user meets them: in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

COMMANDS = Path(__file__).parents[2] / "plugins/audio/src/graftwork_audio/demo/commands"


def test_the_json_has_the_keys_that_others_rely_on(shell, messages) -> None:
    found = shell.json("check", str(messages), "--backbone", "text/minilm")
    assert set(found) >= {"observed", "problems", "agreement"}
    assert found["observed"]["modality"] == "text"
    assert found["observed"]["count"] == 40
    assert found["agreement"] == {"steps": [], "warnings": [], "left_out": [], "adapter": ""}
    assert {"kind", "message", "hint", "count", "examples"} == set(found["problems"][0])
    assert shell.json("check", str(messages))["agreement"] is None


def test_a_mismatch_is_found_told_in_one_sentence_and_exits_2(shell, messages) -> None:
    found = shell.json("check", str(messages), "--backbone", "image/resnet18", code=2)
    assert found["agreement"] is None
    assert found["problems"][0]["kind"] == "mismatch"
    assert found["error"]["type"] == "InputMismatch"
    assert found["error"]["message"] == ("Backbone 'image/resnet18' reads images; column 'text' holds text (40 rows).")
    said = shell("check", str(messages), "--backbone", "image/resnet18")
    assert said.returncode == 2
    assert "Backbone 'image/resnet18' reads images" in said.stdout


def test_the_table_says_what_the_data_are_what_is_wrong_and_what_next(shell, messages, tmp_path) -> None:
    messages.write_text(messages.read_text() + "WHERE is it,Card\n")
    done = shell("check", str(messages), "--backbone", "text/minilm", "--html", "out/page.html")
    assert done.returncode == 0, done.stderr
    assert "Column 'text' holds text: 41 rows under 3 labels" in done.stdout
    assert "similar labels" in done.stdout
    assert "case cased to lower by lower-case (1 examples)" in done.stdout
    assert "1 of 41 rows: capital letters are read as small ones" in done.stdout
    assert done.stdout.rstrip().endswith("Next: graftwork fit DATA --backbone text/minilm")
    assert "Similar labels" in (tmp_path / "out/page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["check", "nowhere"], "DataError", "'nowhere' does not exist"),
        (["check", "{messages}", "--task", "clasify"], "UnknownName", "No task is called 'clasify'"),
        (["check", "{messages}", "--backbone", "text/minilmm"], "UnknownName", "the nearest is text/minilm"),
        (["check", "{messages}", "--input", "words"], "UsageError", "has no column 'words'"),
        (["check", "{messages}", "--html", "/proc/none/page.html"], "DataError", "cannot be written"),
        (["check", "{messages}", "--adapter", "audio:mel"], "UnknownName", "No adapter is called 'audio:mel'"),
        (["fit", "{messages}", "--adapter", "audio:mel"], "UnknownName", "No adapter is called 'audio:mel'"),
        (["fit", "{messages}", "--long", "forget"], "UsageError", "--long forget is not known"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(shell, messages, arguments, kind, words) -> None:
    error = shell.json(*[a.format(messages=messages) for a in arguments], code=2)["error"]
    assert error["type"] == kind
    assert words in error["message"]
    assert error["hint"]


def test_an_adapter_is_said_in_the_first_line_and_kept_in_the_run(shell, tmp_path) -> None:
    for label in ("go", "stop"):
        for path in sorted((COMMANDS / label).iterdir())[:6]:
            (tmp_path / "clips" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "clips" / label / path.name).write_bytes(path.read_bytes())
    options = ["clips", "--adapter", "audio:image-logmel", "--out", "run"]
    done = shell("fit", *options)
    assert done.returncode == 0, done.stderr
    first, read, labels, second = done.stderr.splitlines()[:4]
    assert read == "Read as class-folders: 12 files from folder 'clips', labels from folder names."
    assert labels == "  labels: go 6, stop 6"
    assert first == "Audio is shown to the encoder as images by the adapter audio:image-logmel."
    assert second == ("Folder 'clips' holds audio; taking image/efficientnet-lite0. Choose another: --backbone NAME")
    assert "Adapter | audio:image-logmel" in (tmp_path / "run/README.md").read_text()
    soundfile.write(tmp_path / "new.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (9_000, 2)), 44_100)
    assert shell.json("predict", "run", "new.wav")[0]["label"] in ("go", "stop")
    error = shell.json("fit", "clips", "--backbone", "image/efficientnet-lite0", code=2)["error"]
    assert error["type"] == "InputMismatch"


def test_bytes_that_are_no_utf8_are_read_from_standard_input(tmp_path, messages, shell, tiny_bert) -> None:
    import json

    shell.json("fit", str(messages), "--backbone", f"local:{tiny_bert}", "--out", "run")
    command = [sys.executable, "-m", "graftwork", "predict", "run", "-", "--json"]
    done = subprocess.run(command, cwd=tmp_path, input=b"my card caf\xe9\r\n", capture_output=True, check=True)
    answer = json.loads(done.stdout.decode("utf-8"))[0]
    assert (answer["input"], answer["label"]) == ("my card café", "card")


def test_labels_that_differ_by_case_only_get_the_right_one_as_a_hint(shell, messages, tiny_bert, tmp_path) -> None:
    shell.json("fit", str(messages), "--backbone", f"local:{tiny_bert}", "--out", "run")
    (tmp_path / "new.csv").write_text("text,label\nmy card,Card\n")
    error = shell.json("evaluate", "run", "new.csv", code=2)["error"]
    assert error["message"] == "The run never saw the label 'Card'; it knows 'card', 'delivery'."
    assert error["hint"] == "Map 'Card' to 'card' with --label-map FILE, or fit again with them."
