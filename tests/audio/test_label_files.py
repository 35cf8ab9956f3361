"""Files that label sounds: what the readers give, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graftwork import Annotated, DataError, Span, Spans
from graftwork_audio.annotations.audacity import AudacityReader
from graftwork_audio.annotations.common_voice import CommonVoiceReader
from graftwork_audio.annotations.label_studio import LabelStudioSoundReader
from graftwork_audio.annotations.librispeech import LibriSpeechReader
from graftwork_audio.annotations.ljspeech import LJSpeechReader


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF")
    return path


def text(path: Path, words: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    return path


# LibriSpeech.


def chapter(folder: Path, name: str = "19-198") -> list[Path]:
    folder = folder / name.replace("-", "/")
    text(folder / f"{name}.trans.txt", f"{name}-0000 CHAPTER ONE\n{name}-0001 IT WAS\n")
    return [sound(folder / f"{name}-000{i}.flac") for i in range(2)]


def test_librispeech_gives_the_text_of_each_clip_by_split(tmp_path) -> None:
    root = tmp_path / "LibriSpeech"
    train, dev = chapter(root / "train-clean-100"), chapter(root / "dev-other", "7-9")
    assert LibriSpeechReader().fits(root)
    assert LibriSpeechReader().read(root, "transcript").examples == (
        Annotated(dev[0], "CHAPTER ONE", "validation"),
        Annotated(dev[1], "IT WAS", "validation"),
        Annotated(train[0], "CHAPTER ONE", "train"),
        Annotated(train[1], "IT WAS", "train"),
    )
    assert {one.split for one in LibriSpeechReader().read(root / "dev-other", "transcript").examples} == {""}


def test_a_clip_that_is_missing_keeps_its_place(tmp_path) -> None:
    chapter(tmp_path)[1].unlink()
    assert [Path(one.input).exists() for one in LibriSpeechReader().read(tmp_path, "transcript").examples] == [
        True,
        False,
    ]


def test_a_line_of_librispeech_without_a_text_is_named(tmp_path) -> None:
    chapter(tmp_path)
    path = text(tmp_path / "19" / "198" / "19-198.trans.txt", "19-198-0000\n")
    with pytest.raises(DataError) as error:
        LibriSpeechReader().read(tmp_path, "transcript")
    assert str(error.value) == (
        f"Line 1 of '{path}' is '19-198-0000'; the name of a clip, a blank and its text are accepted. Mend the line."
    )


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path) -> None:
    text(tmp_path / "a.trans.txt", "a/../../../x HELLO\n")
    with pytest.raises(
        DataError, match="name 'a/../../../x', which leads out of it; names of files in it are accepted."
    ):
        LibriSpeechReader().read(tmp_path, "transcript")


# LJSpeech.


def test_ljspeech_gives_the_text_in_words(tmp_path) -> None:
    clips = [sound(tmp_path / "wavs" / f"LJ001-000{i}.wav") for i in range(3)]
    file = text(
        tmp_path / "metadata.csv", 'LJ001-0000|He said "no" to 2|He said "no" to two\nLJ001-0001|Yes|\nLJ001-0002|So\n'
    )
    for place in (tmp_path, file):
        assert LJSpeechReader().fits(place)
        assert LJSpeechReader().read(place, "transcript").examples == (
            Annotated(clips[0], 'He said "no" to two'),
            Annotated(clips[1], "Yes"),
            Annotated(clips[2], "So"),
        )


def test_ljspeech_may_have_a_list_for_each_split(tmp_path) -> None:
    clips = [sound(tmp_path / "wavs" / f"{name}.flac") for name in ("a", "b")]
    text(tmp_path / "metadata.csv", "a|A\nb|B\n")
    text(tmp_path / "metadata_train.csv", "a|A\n")
    text(tmp_path / "metadata_val.csv", "wavs/b.flac|B\n")
    assert LJSpeechReader().read(tmp_path, "transcript").examples[0] == Annotated(clips[0], "A", "train")
    assert LJSpeechReader().read(tmp_path, "transcript").examples[1] == Annotated(clips[1], "B", "validation")


def test_a_list_of_clips_that_are_not_there_does_not_fit(tmp_path) -> None:
    text(tmp_path / "metadata.csv", "a|A\n")
    assert not LJSpeechReader().fits(tmp_path)
    assert not LJSpeechReader().fits(text(tmp_path / "b.csv", "text,label\na,b\n"))


def test_a_line_of_ljspeech_without_a_text_is_named(tmp_path) -> None:
    sound(tmp_path / "wavs" / "a.wav")
    path = text(tmp_path / "metadata.csv", "a|A\n\nb||\n")
    with pytest.raises(DataError) as error:
        LJSpeechReader().read(tmp_path, "transcript")
    assert str(error.value) == (
        f"Line 3 of '{path}' is 'b||'; the name of a clip and its text with | between are accepted. Mend the line."
    )


# Common Voice.

HEADER = "client_id\tpath\tsentence\tup_votes\n"


def common_voice(root: Path, **tables: str) -> Path:
    for name, rows in tables.items():
        text(root / f"{name}.tsv", HEADER + rows)
    sound(root / "clips" / "a.mp3")
    sound(root / "clips" / "b.mp3")
    return root


A, B = 'x\ta.mp3\t"He said ""no"" ."\t2\n', "x\tb\tYes\t2\n"


def test_common_voice_gives_the_sentences_of_its_splits(tmp_path) -> None:
    root = common_voice(tmp_path, train=A, dev=B, validated=A + B, other="")
    assert CommonVoiceReader().fits(root)
    found = CommonVoiceReader().read(root, "transcript")
    assert found.examples == (
        Annotated(root / "clips" / "a.mp3", 'He said "no" .', "train"),
        Annotated(root / "clips" / "b.mp3", "Yes", "validation"),
    )
    assert found.notes == ("Read: train.tsv, dev.tsv; the other tables are not (other.tsv, validated.tsv).",)


def test_common_voice_without_splits_is_what_was_validated(tmp_path) -> None:
    root = common_voice(tmp_path, validated=A + B, invalidated=B)
    assert [one.split for one in CommonVoiceReader().read(root, "transcript").examples] == ["", ""]
    assert len(CommonVoiceReader().read(root / "invalidated.tsv", "transcript").examples) == 1


def test_a_blank_sentence_is_no_label_and_a_short_line_is_named(tmp_path) -> None:
    root = common_voice(tmp_path, validated="x\ta.mp3\t\t2\n")
    assert CommonVoiceReader().read(root, "transcript").examples[0].label is None
    text(root / "validated.tsv", HEADER + "x\ta.mp3\n")
    with pytest.raises(DataError, match="Line 2 of '.*validated.tsv' has 2 cells, and the header 4. Mend the line."):
        CommonVoiceReader().read(root, "transcript")


def test_other_tables_do_not_fit_common_voice(tmp_path) -> None:
    sound(tmp_path / "clips" / "a.mp3")
    text(tmp_path / "train.tsv", "path\tlabel\na.mp3\tdog\n")
    assert not CommonVoiceReader().fits(tmp_path)
    assert not CommonVoiceReader().fits(common_voice(tmp_path / "clips" / "x", train=A) / "clips")


# Audacity.


def tracks(root: Path) -> list[Path]:
    paths = [sound(root / f"{name}.wav") for name in ("a", "b", "c")]
    text(root / "a.txt", "0.000000\t1.500000\tbird\n\\\t100.0\t2000.0\n2,5\t3,0\t\n4.0\t4.0\tclick\n")
    text(root / "b.txt", "")
    return paths


def test_labels_are_parts_of_sounds_by_name(tmp_path) -> None:
    a, *_ = tracks(tmp_path)
    assert AudacityReader().fits(tmp_path)
    found = AudacityReader().read(tmp_path, "name")
    assert found.examples == (
        Annotated(a, "bird", seconds=(0.0, 1.5)),
        Annotated(a, None, seconds=(2.5, 3.0)),
    )
    assert found.notes == (
        "Left out: 1 labels that are points of time, and no part of a sound.",
        "Left out: 1 sounds without a label track, the first of them c.wav.",
    )


def test_labels_are_spans_of_whole_sounds_and_one_without_a_track_has_none(tmp_path) -> None:
    a, b, c = tracks(tmp_path / "train")
    spans = (Span(0.0, 1.5, "bird"), Span(2.5, 3.0, ""), Span(4.0, 4.0, "click"))
    assert AudacityReader().read(tmp_path, "spans").examples == (
        Annotated(a, Spans(spans, "seconds"), "train"),
        Annotated(b, Spans((), "seconds"), "train"),
        Annotated(c, None, "train"),
    )
    assert len(AudacityReader().read(tmp_path / "train" / "a.txt", "name").examples) == 2


def test_texts_beside_sounds_are_no_tracks(tmp_path) -> None:
    sound(tmp_path / "a.wav")
    text(tmp_path / "a.txt", "Hello\n")
    assert not AudacityReader().fits(tmp_path)
    assert not AudacityReader().fits(tmp_path / "a.txt")
    assert not AudacityReader().fits(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    assert not AudacityReader().fits(tmp_path)


def test_a_line_that_is_no_label_is_named(tmp_path) -> None:
    sound(tmp_path / "a.wav")
    path = text(tmp_path / "a.txt", "0\t1\tx\nfoo\n")
    with pytest.raises(DataError) as error:
        AudacityReader().read(tmp_path, "spans")
    assert str(error.value) == (
        f"Line 2 of '{path}' is 'foo'; start, end and label are accepted, with tabs between and times in seconds. "
        "Export the labels from Audacity again."
    )


# Label Studio.


def answered(address: str, *results: dict[str, object]) -> dict[str, object]:
    annotations = [{"result": results}] if results else []
    return {"id": 1, "annotations": annotations, "data": {"audio": address, "source": "field"}}


def region(start: float, end: float, label: str) -> dict[str, object]:
    return {"type": "labels", "value": {"start": start, "end": end, "channel": 0, "labels": [label]}}


def test_label_studio_gives_regions_and_texts_of_sounds(tmp_path) -> None:
    a, b = sound(tmp_path / "audio" / "a.wav"), sound(tmp_path / "b c.wav")
    tasks = [
        answered("/data/upload/1/0a1b2c3d-a.wav", region(0.5, 1.0, "bird"), region(2, 3, "dog")),
        answered("/data/local-files/?d=birds/b%20c.wav", {"type": "textarea", "value": {"text": ["Hello", "there"]}}),
        answered("https://server/c.wav"),
    ]
    path = text(tmp_path / "export.json", json.dumps(tasks))
    spans = Spans((Span(0.5, 1.0, "bird"), Span(2, 3, "dog")), "seconds")
    for place in (path, tmp_path):
        assert LabelStudioSoundReader().fits(place)
        assert LabelStudioSoundReader().read(place, "spans").examples == (
            Annotated(a, spans),
            Annotated(b, Spans((), "seconds")),
            Annotated(tmp_path / "c.wav", None),
        )
        found = LabelStudioSoundReader().read(place, "transcript").examples
        assert [one.label for one in found] == [None, "Hello there", None]


def test_an_export_without_what_is_asked_for_is_refused(tmp_path) -> None:
    path = text(tmp_path / "export.json", json.dumps([answered("a.wav", region(0, 1, "bird"))]))
    with pytest.raises(DataError, match="'.*export.json' holds no text of a sound. Export a project that has some."):
        LabelStudioSoundReader().read(path, "transcript")
    text(path, json.dumps([answered("a.wav", region(0, 1, "bird")), answered("what")]))
    with pytest.raises(DataError, match="Task 2 of '.*export.json' names no sound. Export its data with it, as JSON."):
        LabelStudioSoundReader().read(path, "spans")


def test_other_json_is_no_export_of_sounds(tmp_path) -> None:
    words = {"type": "labels", "value": {"start": 0, "end": 1, "text": "A", "labels": ["x"]}}
    for tasks in ([answered("a text", words)], [answered("a.wav")], {"annotations": []}, [3, "annotations"]):
        assert not LabelStudioSoundReader().fits(text(tmp_path / "a.json", json.dumps(tasks)))
    assert not LabelStudioSoundReader().fits(text(tmp_path / "a.json", '[{"annotations"'))
