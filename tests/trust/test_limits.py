"""A hostile or unlucky file costs only itself: sizes are bounded before memory is asked for, and nothing blocks.

What is tried here takes gigabytes, hours or a crash without its limit; each limit has one option that raises it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import graftwork as gw
from graftwork import ConfigError, DataError, Raw, Unreadable, UsageError, WeightsMismatch, limits
from graftwork.freeze.freezing import check_rank
from graftwork.plugins import registry
from graftwork.specs.limits import Limits
from graftwork.specs.model_sizes import check_memory, check_sizes
from graftwork_audio.reader import AudioReader

ROOT = Path(__file__).parents[2]
RAISE = "Leave it out, or, if you trust it, raise the limit: GRAFTWORK_LIMITS="


def wav(path: Path, rate: int, channels: int = 1, frames: int = 4_000) -> Path:
    """A WAV file of 16-bit noise whose header says whatever is wanted."""
    samples = np.random.default_rng(rate + frames).integers(-9_000, 9_000, channels * frames, np.int16).tobytes()
    about = struct.pack("<HHIIHH", 1, channels, rate, min(2 * channels * rate, 2**32 - 1), 2 * channels, 16)
    chunks = b"fmt " + struct.pack("<I", 16) + about + b"data" + struct.pack("<I", len(samples)) + samples
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path


def silent_flac(path: Path, hours: float, rate: int = 16_000) -> Path:
    """Hours of silence, which FLAC packs to a thousandth."""
    block = np.zeros(rate * 60, np.int16)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for _ in range(round(60 * hours)):
            file.write(block)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 sound clips in two classes."""
    folder = tmp_path_factory.mktemp("clips")
    for label in ("a", "b"):
        (folder / label).mkdir()
        for number in range(24):
            wav(folder / label / f"{number}.wav", 16_000, frames=6_000 + number + 100 * (label == "b"))
    return folder


@pytest.fixture
def clips(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "clips")


def test_the_guide_lists_each_limit_as_the_module_has_it() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d ]+) ?([^|]*?) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    said = {name: (int(value.replace(" ", "")), unit, what, why) for name, value, unit, what, why in rows}
    assert said == {
        field.name: (field.default, *(field.metadata[key] for key in ("unit", "what", "why")))
        for field in dataclasses.fields(Limits)
    }


def test_an_option_raises_a_limit(monkeypatch) -> None:
    assert limits() == Limits()
    monkeypatch.setenv("GRAFTWORK_LIMITS", "audio_seconds=72_000, table_rows=7")
    assert limits() == dataclasses.replace(Limits(), audio_seconds=72_000, table_rows=7)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("audio_second=1", "GRAFTWORK_LIMITS sets 'audio_second', which is no limit; the nearest is 'audio_seconds'."),
        ("image_pixels", "GRAFTWORK_LIMITS gives 'image_pixels' the value ''; a whole number from 1 to"),
        ("image_pixels=1e9", "GRAFTWORK_LIMITS gives 'image_pixels' the value '1e9'; a whole number from 1 to"),
        ("image_pixels=-1", "GRAFTWORK_LIMITS gives 'image_pixels' the value '-1'; a whole number from 1 to"),
        ("json_levels=501", "GRAFTWORK_LIMITS gives 'json_levels' the value '501'; a whole number from 1 to 500 is"),
    ],
)
def test_an_option_that_cannot_be_read_is_said(words, sentence, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", words)
    with pytest.raises(ConfigError) as caught:
        limits()
    assert str(caught.value).startswith(sentence)
    assert caught.value.hint
    done = subprocess.run([sys.executable, "-m", "graftwork", "backbones"], capture_output=True, text=True)
    assert (done.returncode, sentence in " ".join(done.stderr.split())) == (2, True), done.stderr


HOSTILE = {
    "1 Hz": (lambda path: wav(path, 1), "its sampling rate is 1 Hz; 100 Hz or more is accepted", "audio_lowest_rate=1"),
    "4 Hz": (lambda path: wav(path, 4), "its sampling rate is 4 Hz; 100 Hz or more is accepted", "audio_lowest_rate=4"),
    "8 Hz": (lambda path: wav(path, 8), "its sampling rate is 8 Hz; 100 Hz or more is accepted", "audio_lowest_rate=8"),
    "80 MHz": (
        lambda path: wav(path, 80_000_000),
        "its sampling rate is 80,000,000 Hz; 1,000,000 Hz or less is accepted",
        "audio_highest_rate=80000000",
    ),
    "1000 channels": (
        lambda path: wav(path, 16_000, 1_000, 100),
        "it has 1,000 channels; at most 64 are accepted",
        "audio_channels=1000",
    ),
    "five hours of silence": (
        lambda path: silent_flac(path.with_suffix(".flac"), 5),
        "it holds 18,000 s in 1 channels at 16,000 Hz, 1,152,000,000 bytes in memory; at most",
        "packed_bytes=1152000000",
    ),
    "eleven hours": (
        lambda path: silent_flac(path.with_suffix(".flac"), 11, 1_000),
        "it lasts 39,600 s; at most 36,000 s are accepted",
        "audio_seconds=39600",
    ),
    "low and long": (
        lambda path: wav(path, 100, frames=3_000_000),
        "it holds 30,000 s in 1 channels at 100 Hz, 1,920,000,000 bytes in memory; at most 1,800,013,200 are accepted",
        "packed_bytes=1920000000",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_one_hostile_clip_is_left_out_and_the_others_are_read(clips, kind) -> None:
    make, reason, option = HOSTILE[kind]
    path = make(clips / "a" / "hostile.wav")
    data = gw.data(clips)
    assert len(data) == 48
    (bad,) = data.bad
    assert bad.reason.startswith(f"'{path}' is not read: {reason}")
    assert f"GRAFTWORK_LIMITS={option}" in bad.reason


def test_a_clip_in_memory_has_the_same_limits() -> None:
    value = {"array": np.zeros(100, np.float32), "sampling_rate": 4}
    with pytest.raises(Unreadable, match="its sampling rate is 4 Hz; 100 Hz or more is accepted"):
        AudioReader().read(Raw("row 1", value=value))


def test_a_part_of_a_long_sound_is_read_by_itself(tmp_path) -> None:
    path = silent_flac(tmp_path / "long.flac", 5)
    assert AudioReader().decode(Raw("long.flac", path, part=(16_000.0, 16_001.0))).samples.shape == (1, 16_000)


def test_a_higher_limit_lets_a_clip_pass(tmp_path, monkeypatch) -> None:
    raw = Raw("x.wav", wav(tmp_path / "x.wav", 50))
    with pytest.raises(Unreadable):
        AudioReader().read(raw)
    monkeypatch.setenv("GRAFTWORK_LIMITS", "audio_lowest_rate=50")
    assert AudioReader().read(raw)[1].rate == 50


def test_a_fit_ends_and_names_the_clip_that_it_left_out(clips) -> None:
    path = silent_flac(clips / "a" / "hostile.flac", 5)
    os.mkfifo(clips / "b" / "pipe.wav")
    run = gw.fit(clips, "audio/wav2vec2-tiny", seed=0)
    (bad,) = run.record["data"]["left_out"]
    assert (bad["name"], "GRAFTWORK_LIMITS=packed_bytes" in bad["reason"]) == (str(path), True)
    assert any("pipes, devices and sockets" in note and "pipe.wav" in note for note in run.record["warnings"])


def test_one_hostile_picture_or_row_among_48_is_left_out(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for number in range(48):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / f"{number}.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    os.mkfifo(tmp_path / "pipe.png")
    rows = [f"{name}.png,{'xy'[number % 2]}" for number, name in enumerate([*range(48), "bomb", "pipe"])]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *rows]))
    data = gw.data(tmp_path / "t.csv")
    assert len(data) == 48
    assert [bad.reason for bad in data.bad] == [
        "'bomb.png' is refused as a decompression bomb: Image size (400000000 pixels) exceeds limit of 178956970 pixels, "
        f"could be decompression bomb DOS attack. {RAISE}image_pixels=400000000",
        "'pipe.png' is a pipe, which is never opened as data; plain files are. Leave it out.",
    ]


def measured(code: str, most_memory: int = 10**9) -> None:
    """Run code in a process of its own; its peak is at most so many bytes above that after importing, in ten seconds."""
    start = "import resource, sys\nfrom pathlib import Path\nimport graftwork as gw, graftwork_audio.reader\n"
    start += (
        "from graftwork.data.formats import parquet_tables\npeak = lambda: resource.getrusage(resource.RUSAGE_SELF)"
    )
    start += ".ru_maxrss * 1024\nbefore = peak()\n"
    end = f"\nassert peak() - before < {most_memory}, (peak() - before) / 1e6\n"

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    done = subprocess.run(
        [sys.executable, "-c", start + code + end],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=bounded,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_hours_of_silence_take_no_memory(tmp_path) -> None:
    path = silent_flac(tmp_path / "x.flac", 9)
    measured(
        f"""
from time import perf_counter
reader, raw, begin = graftwork_audio.reader.AudioReader(), gw.Raw("x", Path({str(path)!r})), perf_counter()
for read in (reader.facts, reader.decode, reader.read):
    try:
        read(raw)
    except gw.Unreadable:
        continue
    raise AssertionError(read)
assert perf_counter() - begin < 10
""",
        10**8,
    )


def specials(folder: Path) -> None:
    """A pipe, a device by a link, a socket and a folder, named like clips; a link that leads nowhere."""
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        one.bind("socket.wav")
        os.chdir(here)
    (folder / "folder.wav").mkdir()
    (folder / "nowhere.wav").symlink_to("nothing")


def test_pipes_devices_and_sockets_in_a_folder_are_named_and_never_opened(clips) -> None:
    specials(clips / "a")
    data = gw.data(clips)
    assert len(data) == 48
    assert (
        "Left out: pipes, devices and sockets, which are never opened as data (a/pipe.wav, a/socket.wav, a/zero.wav)."
    ) in data.notes
    assert "Left out: folders that are named like files and are empty (a/folder.wav)." in data.notes
    assert "Left out: links that lead nowhere (a/nowhere.wav)." in data.notes


@pytest.mark.parametrize("modality", ["audio", "image", "text"])
def test_those_that_a_table_names_are_never_opened(tmp_path, modality) -> None:
    specials(tmp_path)
    reader = gw.plugins.registry.load_factory(registry.modality(modality).reader)()
    for name, noun in {"pipe.wav": "a pipe", "zero.wav": "a device", "socket.wav": "a socket"}.items():
        for read in (reader.facts, reader.decode, reader.read, reader.digest, reader.identity_digest):
            with pytest.raises(Unreadable) as caught:
                read(Raw(name, tmp_path / name))
            assert str(caught.value) == (
                f"'{name}' is {noun}, which is never opened as data; plain files are. Leave it out."
            )


@pytest.mark.parametrize("name", ["x.csv", "x.zip", "x.tar", "x.parquet", "x.db", "x", "x.jsonl.gz"])
def test_a_pipe_in_place_of_the_data_is_refused_at_once(tmp_path, name) -> None:
    os.mkfifo(tmp_path / name)
    for read in (gw.data, gw.stream):
        with pytest.raises(DataError) as caught:
            read(tmp_path / name)
        assert str(caught.value) == (
            f"'{tmp_path / name}' is a pipe, which is never opened as data; a folder or a plain file is accepted. "
            "Write what comes out of it to a file, and name that."
        )


def test_a_file_of_very_many_bytes_is_not_read_into_memory(tmp_path) -> None:
    path = tmp_path / "x.txt"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(Unreadable) as caught:
        Raw("x.txt", path).content()
    assert str(caught.value) == (
        f"'x.txt' holds 2,147,483,648 bytes; at most 1,073,741,824 are read. {RAISE}file_bytes=2147483648"
    )


FAULTS = {
    "num_hidden_layers": {
        10**7: "at most 1,000 is accepted",
        -1: "a whole number from 1 on is accepted",
        "12": "a whole number from 1 on is accepted",
        12.5: "a whole number from 1 on is accepted",
        None: "a whole number from 1 on is accepted",
        True: "a whole number from 1 on is accepted",
    },
    "hidden_size": {10**9: "at most 16,777,216 is accepted", 0: "a whole number from 1 on is accepted"},
    "vocab_size": {10**12: "at most 16,777,216 is accepted"},
    "max_position_embeddings": {"many": "a whole number from 1 on is accepted"},
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in FAULTS.items() for value in values])
def test_sizes_in_a_config_file_are_whole_numbers_within_limits(tiny_bert, tmp_path, field, value) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{folder}")
    verb = f"sets {field} to" if FAULTS[field][value].startswith("at most") else f"says that {field} is"
    assert str(caught.value).startswith(f"'{file}' {verb} {json.dumps(value)}; {FAULTS[field][value]}.")


def test_what_only_looks_like_a_size_is_let_pass() -> None:
    said = {"attention_layers": ["global"], "label2id": {"num_layers": -3}, "n_inner": None, "type_vocab_size": 0}
    check_sizes(Path("config.json"), {**said, "depths": [2, 2], "image_size": [64, 64]})


def test_a_model_far_larger_than_its_weights_is_not_made(tiny_bert, tmp_path) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    said = json.loads((folder / "config.json").read_text())
    check_memory(folder, said)
    with pytest.raises(WeightsMismatch, match=r"describes 64,000,000,000 bytes of weights or more, and its files hold"):
        check_memory(folder, {**said, "num_hidden_layers": 1_000, "hidden_size": 4_000})


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_json_of_a_model_that_is_nested_too_deep_is_named(tiny_bert, tmp_path, file) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    (folder / file).write_text('{"model_type": "bert", "x": ' + "[" * 20_000 + "]" * 20_000 + "}")
    with pytest.raises(DataError) as caught:
        registry.backbone(f"local:{folder}")
    assert f"'{folder / file}' is not JSON: its lists and objects are nested deeper than 100 levels" in str(
        caught.value
    )


@pytest.mark.parametrize("rank", [10**9, 0, -1, "8", 8.0, True])
def test_a_rank_of_low_rank_updates_is_a_whole_number_within_the_limit(rank) -> None:
    with pytest.raises(UsageError) as caught:
        check_rank(rank)
    said = "1,000,000,000; at most 1,024 is accepted" if rank == 10**9 else f"{rank!r}; a whole number is accepted"
    assert str(caught.value).startswith(f"Low-rank updates have the rank {said}.")
    check_rank(1_024)


def test_a_rank_above_the_limit_adapts_nothing(messages, tiny_bert) -> None:
    with pytest.raises(UsageError, match=r"have the rank 1,000,000,000; at most 1,024 is accepted"):
        gw.fit(messages, f"local:{tiny_bert}", freeze="lora:r=1000000000", epochs=1)
