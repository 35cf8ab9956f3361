"""`check`: every kind of problem is found, counted and named, and clean data have none."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import graftwork as gw
from graftwork.checks import near_duplicates
from graftwork.checks.checking import NAMED
from graftwork.reports.check_page import write_check

WORDS = [
    "card",
    "parcel",
    "refund",
    "money",
    "order",
    "lost",
    "help",
    "please",
    "today",
    "account",
    "invoice",
    "loan",
    "ticket",
    "phone",
    "wallet",
]


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=12)) + f" {rng.randrange(10**9)}" for _ in range(count)]


def table(path: Path, rows: list[tuple[str, ...]], header: str = "text,label") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def clean(count: int = 40) -> list[tuple[str, ...]]:
    return [(text, "ab"[i % 2]) for i, text in enumerate(sentences(count))]


def problems(source, **options) -> dict[str, gw.checking.Problem]:  # type: ignore[name-defined]
    return {problem.kind: problem for problem in gw.check(source, **options).problems}


def test_clean_data_have_no_problems(tmp_path) -> None:
    assert problems(table(tmp_path / "t.csv", clean())) == {}


def test_exact_duplicates_are_grouped_and_named_by_row(tmp_path) -> None:
    rows = clean()
    found = problems(table(tmp_path / "t.csv", [*rows, rows[3], rows[3], rows[7]]))
    assert set(found) == {"exact_duplicates"}
    assert found["exact_duplicates"].message == "5 of 43 rows hold the same as another (2 groups)."
    assert found["exact_duplicates"].groups == ((3, 40, 41), (7, 42))
    assert found["exact_duplicates"].examples[0].startswith(f"row 4: {rows[3][0][:20]}")


def test_a_text_is_the_same_however_its_accents_and_blanks_are_written(tmp_path) -> None:
    rows = [*clean(), ("the café opens at noon every day", "a"), ("  the cafe\u0301 opens at noon every day", "a")]
    assert problems(table(tmp_path / "t.csv", rows))["exact_duplicates"].groups == ((40, 41),)


def test_near_duplicates_are_found_beside_exact_ones(tmp_path) -> None:
    rows = clean()
    found = problems(table(tmp_path / "t.csv", [*rows, (rows[5][0] + "!", "b"), rows[9]]))
    assert set(found) == {"exact_duplicates", "near_duplicates"}
    assert found["near_duplicates"].groups == ((5, 40),)
    assert found["near_duplicates"].message == "2 of 42 rows are much like another (1 group)."


def test_the_same_example_under_two_labels_is_named_with_both(tmp_path) -> None:
    rows = clean()
    found = problems(table(tmp_path / "t.csv", [*rows, (rows[0][0], "b")]))
    assert set(found) == {"exact_duplicates", "conflicting_labels"}
    message = found["conflicting_labels"].message
    assert message.startswith("2 rows hold the same under different labels (1 group); the first: row 1: ")
    assert message.endswith(" is 'a' and 'b'.")


def test_what_stands_in_two_splits_is_leakage_exact_or_near(tmp_path) -> None:
    texts = sentences(60)
    rows = [(text, "ab"[i % 2], "train") for i, text in enumerate(texts[:40])]
    rows += [(text, "ab"[i % 2], "test") for i, text in enumerate(texts[40:])]
    rows += [(texts[0], "a", "test"), (texts[1] + "!", "b", "test"), (texts[2], "a", "train")]
    found = problems(table(tmp_path / "t.csv", rows, "text,label,split"))
    assert found["leakage"].count == 2
    assert found["leakage"].groups == ((0, 60), (1, 61))
    assert found["leakage"].message == (
        "2 rows of the validation or test split stand in another split too, the same or nearly (2 groups)."
    )


def test_imbalance_too_few_and_labels_that_differ_by_case_or_blanks(tmp_path) -> None:
    texts = sentences(134)
    rows = [(text, "much") for text in texts[:120]] + [(text, "Card") for text in texts[120:131]]
    rows += [(text, "card ") for text in texts[131:]]
    found = problems(table(tmp_path / "t.csv", rows))
    assert set(found) == {"imbalance", "too_few", "similar_labels"}
    assert found["imbalance"].message == "The label 'much' has 120 examples and 'card' 3: 40 times as many."
    assert found["too_few"].message == "1 of 3 labels has fewer than 10 examples: 'card' (3)."
    assert found["similar_labels"].message == (
        "Labels differ only by case or blanks (1 group); the first: 'Card' (11) and 'card' (3)."
    )


def test_a_single_label_is_a_problem(tmp_path) -> None:
    found = problems(table(tmp_path / "t.csv", [(text, "a") for text in sentences(12)]))
    assert found["one_label"].message == "All 12 examples have the label 'a'."


def test_unreadable_empty_and_unlabelled_examples_are_told_apart(tmp_path) -> None:
    rows = [*clean(), ("", "a"), ("some words", ""), ("bad \x01 byte", "b")]
    found = problems(table(tmp_path / "t.csv", rows))
    assert set(found) == {"empty", "unlabelled", "unreadable"}
    assert found["empty"].message == "1 of 43 rows are empty; the first: 'row 41' is an empty text."
    assert found["unlabelled"].examples == ("'some words' has no label.",)
    assert found["unreadable"].examples == ("'bad � byte' is not text: it holds the control character 0x01.",)


def test_a_table_or_folder_without_labels_is_checked_too(tmp_path) -> None:
    found = gw.check(table(tmp_path / "t.csv", [(text,) for text in sentences(3)], "text"))
    assert (found.labels, found.problems, len(found.data)) == ({}, (), 3)
    (tmp_path / "loose").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "loose" / "a.png")
    assert gw.check(tmp_path / "loose").data.observed.summary() == "1 files"


def test_a_mismatch_is_the_first_problem_and_agreement_is_said_where_there_is_one(tmp_path) -> None:
    source = table(tmp_path / "t.csv", [("Some words here", "a"), *clean()])
    found = gw.check(source, backbone="image/resnet18")
    assert (found.agreement, found.problems[0].kind) == (None, "mismatch")
    assert found.problems[0].message == ("Backbone 'image/resnet18' reads images; column 'text' holds text (41 rows).")
    assert found.as_json()["error"]["type"] == "InputMismatch"
    fitting = gw.check(source, backbone="text/minilm")
    assert [step.converter for step in fitting.agreement.steps] == ["lower-case"]
    assert fitting.as_json()["agreement"]["steps"][0]["count"] == 1


def test_pictures_are_like_their_copies_of_another_size_format_and_quality_and_unlike_others(tmp_path) -> None:
    from sklearn.datasets import load_sample_images

    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for number, photo in enumerate(photos):
        photo.save(tmp_path / f"{number}.png")
        photo.resize((200, 133)).save(tmp_path / f"{number}-small.jpg", quality=60)
        photo.save(tmp_path / f"{number}-copy.webp", quality=70)
    for level in (10, 20):
        Image.new("RGB", (64, 64), (level, level, level)).save(tmp_path / f"flat{level}.png")
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    found = problems(tmp_path)
    assert set(found) == {"near_duplicates", "blank"}
    groups = {tuple(sorted(Path(n).name[0] for n in group.split(" = "))) for group in found["near_duplicates"].examples}
    assert groups == {("0", "0", "0"), ("1", "1", "1")}


def test_the_same_sound_in_two_formats_is_an_exact_duplicate(tmp_path) -> None:
    import soundfile

    for number in range(3):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 800)
        soundfile.write(tmp_path / f"{number}.wav", noise, 16_000)
    samples, rate = soundfile.read(tmp_path / "1.wav", dtype="int16")
    soundfile.write(tmp_path / "same.flac", samples, rate)
    found = problems(tmp_path)
    assert [Path(n).name for n in found["exact_duplicates"].examples[0].split(" = ")] == ["1.wav", "same.flac"]


class Digits(gw.Likeness):
    """Signatures of 4 digits, alike by the part that is equal."""

    bands, threshold = 4, 0.75

    def signature(self, raw):
        raise AssertionError

    def similarity(self, one, other):
        return (one == other).mean(1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=12))
def test_groups_are_those_that_comparing_each_with_each_would_find(rows) -> None:
    signatures = np.array(rows, np.uint8)
    groups = near_duplicates.near_duplicates(signatures, Digits())
    together = {(i, j) for group in groups for i in group for j in group}
    linked = {
        i: {j for j in range(len(rows)) if (signatures[i] == signatures[j]).mean() >= 0.75} for i in range(len(rows))
    }
    for start in range(len(rows)):
        reached, edge = {start}, [start]
        while edge:
            for other in linked[edge.pop()] - reached:
                reached.add(other)
                edge.append(other)
        assert {j for j in range(len(rows)) if (start, j) in together or j == start} == reached


def test_many_that_share_a_slice_are_not_compared_each_with_each() -> None:
    compared = []

    class Counting(Digits):
        def similarity(self, one, other):
            compared.append(len(one))
            return super().similarity(one, other)

    rng = np.random.default_rng(0)
    signatures = np.concatenate([np.zeros((3_000, 1)), rng.integers(0, 250, (3_000, 3))], 1).astype(np.uint8)
    near_duplicates.near_duplicates(signatures, Counting())
    assert sum(compared) < 20 * 3_000 * 4


def test_long_lists_are_counted_whole_and_named_in_part(tmp_path) -> None:
    rows = clean(200)
    problem = problems(table(tmp_path / "t.csv", [*rows, *rows]))["exact_duplicates"]
    assert problem.count == 400
    assert len(problem.examples) == len(problem.groups) == NAMED


def test_the_page_shows_pictures_and_words_and_lets_no_markup_through(tmp_path) -> None:
    rows = [*clean(), ("<b>bold</b> words in a message", "a"), ("<b>bold</b> words in a message", "b")]
    found = gw.check(table(tmp_path / "t.csv", rows), backbone="text/minilm")
    write_check(found, tmp_path / "out" / "page.html")
    page = (tmp_path / "out" / "page.html").read_text()
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page
    assert "Conflicting labels (2)" in page
    assert "They fit as they are." in page
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)).save(
            tmp_path / "d" / f"{name}.png"
        )
    write_check(gw.check(tmp_path / "d"), tmp_path / "pictures.html")
    assert (tmp_path / "pictures.html").read_text().count("data:image/jpeg;base64,") == 2
    with pytest.raises(gw.DataError, match="cannot be written: .*--html FILE"):
        write_check(found, tmp_path / "t.csv" / "page.html")


def test_checking_a_table_loads_no_torch_and_keeps_no_object_per_row(tmp_path) -> None:
    import subprocess
    import sys

    source = table(tmp_path / "t.csv", clean(50))
    code = f"import graftwork as gw, sys; gw.check({str(source)!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    data = gw.data(source)
    assert data.raws[0] is not data.raws[0]
    assert [raw.value for raw in data.raws[2:4]] == [row[0] for row in clean(50)[2:4]]


def test_what_was_left_out_is_a_note_and_no_problem(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir()
        for number in range(12):
            pixels = np.random.default_rng([number, len(label)]).integers(0, 255, (300, 300, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{label}{number}.png")
    (tmp_path / "photos" / "Thumbs.db").write_text("x")
    found = gw.check(tmp_path / "photos")
    said = found.as_json()
    assert said["notes"] == ["Left out: hidden and system files (Thumbs.db), 1 in all."]
    assert said["layout"] == "class-folders"
    assert said["label_counts"] == {"cat": {"all": 12}, "dog": {"all": 12}}
    write_check(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Read as class-folders, labels from folder names." in page
    assert said["notes"][0] in page
