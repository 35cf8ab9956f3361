"""Sound events: selection tables, windows, figures, and a fit from a folder to answers, through public names only."""

from __future__ import annotations

import ast
import random
import wave
from pathlib import Path

import numpy as np
import pytest

import graftwork as gw
from graftwork_sound_events.raven import RavenReader
from graftwork_sound_events.scores import SegmentScores
from graftwork_sound_events.task import Events

RATE = 16_000
SPEC = gw.TaskSpec("events", "graftwork_sound_events.task:Events", "spans", ("sequence-linear",))
HEAD = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"


def written(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def recordings(folder: Path, count: int) -> Path:
    """Clips of noise in which a tone (beep) and a buzz may be heard, each with its table."""
    folder.mkdir()
    rng = random.Random(0)
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 0.02, 4 * RATE)
        lines = []
        for name, sound in (
            ("beep", lambda t: np.sin(2 * np.pi * 1500 * t)),
            ("buzz", lambda t: np.sign(np.sin(2 * np.pi * 110 * t))),
        ):
            begin = rng.uniform(0, 2.5)
            end = begin + rng.uniform(0.8, 1.4)
            at = slice(int(begin * RATE), int(end * RATE))
            noise[at] += 0.3 * sound(np.arange(noise[at].size) / RATE)
            lines.append(f"{len(lines) + 1}\tSpectrogram 1\t{begin:.3f}\t{end:.3f}\t{name}\n")
        written(folder / f"{number}.wav", noise)
        (folder / f"{number}.Table.1.selections.txt").write_text(HEAD + "".join(lines))
    return folder


def test_events_are_found_with_their_seconds(tmp_path) -> None:
    run = gw.fit(recordings(tmp_path / "clips", 16), "audio/wav2vec2-tiny", task="events")
    assert run.record["trained_by"] == "exact"
    assert run.record["certificate"]["ok"]
    assert run.metrics["f1"] > 0.8
    run.save(tmp_path / "run")
    (answer,) = gw.load(tmp_path / "run").predict([tmp_path / "clips/0.wav"])
    (true,) = (one.label for one in RavenReader().read(tmp_path / "clips", "spans").examples if one.input.stem == "0")
    beep = next(span for span in true.spans if span.label == "beep")
    found = max((e for e in answer["events"] if e["label"] == "beep"), key=lambda e: e["end"] - e["start"])
    assert found["start"] == pytest.approx(beep.start, abs=0.25)
    assert found["end"] == pytest.approx(beep.end, abs=0.25)


def test_a_selection_table_is_read_by_its_columns(tmp_path) -> None:
    recordings(tmp_path / "clips", 1)
    table = tmp_path / "clips/0.Table.1.selections.txt"
    table.write_text(HEAD + "1\tWaveform 1\t0.5\t1\tbeep\n1\tSpectrogram 1\t0.5\t1\tbeep\n2\tSpectrogram 1\t2\t3\t\n")
    (example,) = RavenReader().read(tmp_path / "clips", "spans").examples
    assert example.label == gw.Spans((gw.Span(0.5, 1.0, "beep"),), "seconds")
    table.write_text(HEAD + "1\tSpectrogram 1\tsoon\t1\tbeep\n")
    with pytest.raises(gw.DataError, match=r"Line 2 of '.*' has no seconds in 'Begin Time \(s\)' and 'End Time \(s\)'"):
        RavenReader().read(tmp_path / "clips", "spans")
    table.write_text("Selection\tBegin Time (s)\tEnd Time (s)\n")
    with pytest.raises(gw.DataError, match="one of Annotation, Species, Label, Type is accepted"):
        RavenReader().read(tmp_path / "clips", "spans")


def test_a_sound_without_a_table_is_unlabelled_and_a_table_without_a_sound_is_noted(tmp_path) -> None:
    recordings(tmp_path / "clips", 3)
    (tmp_path / "clips/1.Table.1.selections.txt").unlink()
    (tmp_path / "clips/2.wav").unlink()
    found = RavenReader().read(tmp_path / "clips", "spans")
    assert [(example.input.stem, example.label is None) for example in found.examples] == [("0", False), ("1", True)]
    assert "2.Table.1.selections.txt" in found.notes[0]


def test_figures_count_seconds_in_which_a_label_is_heard() -> None:
    scores = SegmentScores()
    label = gw.Spans((gw.Span(0.2, 2.5, "a"),), "seconds")
    assert scores.add({"events": [{"start": 1.0, "end": 2.0, "label": "a"}]}, label) == pytest.approx(0.5)
    assert scores.add({"events": []}, gw.Spans((), "seconds")) == 1.0
    assert scores.metrics() == {"f1": 0.5, "precision": 1.0, "recall": pytest.approx(1 / 3), "nothing": 0.0}


def test_events_that_last_no_time_and_other_labels_are_refused() -> None:
    task = Events(SPEC)
    with pytest.raises(gw.DataError, match="The event 'a' from 2 to 1 s lasts no time"):
        task.encode([gw.Spans((gw.Span(2, 1, "a"),), "seconds")])
    with pytest.raises(gw.DataError, match="The labels are no spans of seconds"):
        task.encode([gw.Spans((gw.Span(0, 1, "a"),))])
    with pytest.raises(gw.DataError, match="In none of the 2 clips an event is marked"):
        task.encode([gw.Spans((), "seconds")] * 2)


def test_it_is_written_with_public_names_only() -> None:
    for file in (Path(__file__).parents[1] / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("graftwork"):
                assert node.module == "graftwork" or node.module.startswith("graftwork_sound_events")
