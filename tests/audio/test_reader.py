"""The audio reader: facts from headers, samples on demand, and one sentence for each way a file can fail."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from graftwork import Raw, Unreadable
from graftwork.data.raws import Raws
from graftwork.plugins import registry
from graftwork_audio.clip import Clip
from graftwork_audio.reader import AudioReader

SCIPY = pytest.importorskip("scipy.io").__path__[0]
WAVES = sorted((Path(SCIPY) / "tests" / "data").glob("*.wav"))
REMEDY = "Save it again, as WAV or FLAC, or leave it out."
reader = AudioReader()


def encoded(format: str, frames: int = 1_600, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels))
    soundfile.write(buffer, wave, 16_000, format=format)
    return buffer.getvalue()


def why(raw: Raw, *, only_decode: bool = False) -> str:
    """The sentence with which every method refuses the example."""
    methods = [reader.decode] if only_decode else [reader.facts, reader.size, reader.decode]
    sentences = set()
    for method in methods:
        with pytest.raises(Unreadable) as caught:
            method(raw)
        assert caught.value.hint == REMEDY
        sentences.add(caught.value.message)
    assert len(sentences) == 1
    return sentences.pop()


def test_the_header_says_rate_channels_and_duration(sine: Callable[..., Path]) -> None:
    path = sine("clip.wav", rate=44_100, channels=2, seconds=0.25)
    facts = {"video": "none", "bit_depth": 16, "sound": "audible", "clipping": "none", "amplitude": 0.5, "channels": 2}
    assert reader.facts(Raw("clip.wav", path)) == {**facts, "sampling_rate": 44_100, "duration": 0.25}


def test_facts_keep_one_block_of_samples_at_a_time(sine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Raw("clip.flac", sine("clip.flac", seconds=2.0))
    whole = reader.facts(raw)
    monkeypatch.setattr("graftwork_audio.reader.BLOCK", 1_000)
    read = soundfile.SoundFile.read
    sizes = []

    def watched(file: soundfile.SoundFile, frames: int = -1, *rest: Any, **options: Any) -> Any:
        sizes.append(frames)
        return read(file, frames, *rest, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", watched)
    assert reader.facts(raw) == whole
    assert len(sizes) == 32
    assert all(0 < size <= 1_000 for size in sizes)
    assert reader.size(raw) == 32_000


def test_duration_is_cut_to_milliseconds_so_that_what_is_long_enough_stays_so(clip: Callable[..., Clip]) -> None:
    assert clip(1_102, 44_100).facts()["duration"] == 0.024
    assert clip(1_103, 44_100).facts()["duration"] == 0.025


@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".caf", ".w64", ".rf64"])
def test_each_container_is_decoded_at_its_own_rate_with_every_channel(
    sine: Callable[..., Path], extension: str
) -> None:
    path = sine(f"clip{extension}", rate=22_050, channels=2, seconds=0.5)
    clip = reader.decode(Raw(path.name, path))
    assert (clip.samples.shape, clip.rate, clip.samples.dtype) == ((2, 11_025), 22_050, np.float32)
    assert abs(np.abs(clip.samples[:, 2_000:-2_000]).max() - 0.5) < 0.05
    assert extension in registry.modality("audio").extensions


def test_encoded_bytes_are_read_like_the_file(sine: Callable[..., Path]) -> None:
    path = sine("clip.flac", channels=2)
    from_file, from_bytes = Raw("clip.flac", path), Raw("clip.flac", value=path.read_bytes())
    assert reader.facts(from_bytes) == reader.facts(from_file)
    assert reader.size(from_bytes) == reader.size(from_file)
    np.testing.assert_array_equal(reader.decode(from_bytes).samples, reader.decode(from_file).samples)


def test_sound_as_datasets_keeps_it_is_read_both_encoded_and_decoded() -> None:
    data = encoded("FLAC")
    array = np.zeros(800, dtype=np.float64)
    items = [{"bytes": data, "path": "a.flac"}, {"path": None, "array": array, "sampling_rate": 8_000}]
    first, second = Raws(items, registry.modality("audio"), Path())
    shape = {"video": "none", "channels": 1, "duration": 0.1}
    assert reader.facts(first) == {
        **shape, "bit_depth": 16, "sound": "audible", "clipping": "none", "amplitude": 0.5, "sampling_rate": 16_000
    }  # fmt: skip
    assert reader.facts(second) == {
        **shape, "bit_depth": 32, "sound": "silent", "clipping": "none", "amplitude": 0.0, "sampling_rate": 8_000
    }  # fmt: skip
    assert reader.decode(second).samples.shape == (1, 800)
    assert reader.decode(second).samples.dtype == np.float32


def test_arrays_have_their_channels_first_and_clips_pass_as_they_are(clip: Callable[..., Clip]) -> None:
    stereo = Raw("input 1", value={"array": np.zeros((2, 160), np.float32), "sampling_rate": 16_000})
    assert reader.facts(stereo)["channels"] == 2
    assert reader.facts(stereo)["duration"] == 0.01
    given = clip(320)
    assert reader.decode(Raw("input 1", value=given)) is given
    assert reader.size(Raw("input 1", value=given)) == 320


def test_a_wave_file_written_to_a_pipe_is_whole_though_its_size_is_not_known() -> None:
    data = bytearray(encoded("WAV"))
    start = data.find(b"data") + 4
    data[4:8] = data[start : start + 4] = b"\xff\xff\xff\xff"
    assert reader.decode(Raw("piped.wav", value=bytes(data))).samples.shape == (1, 1_600)


@pytest.mark.skipif(not WAVES, reason="scipy is installed without its test data")
def test_every_wave_file_of_scipys_tests_is_decoded_or_named_as_unreadable() -> None:
    decoded, refused = {}, {}
    for path in WAVES:
        raw = Raw(path.name, path)
        try:
            facts = reader.facts(raw)
            decoded[path.name] = (facts, reader.decode(raw))
        except Unreadable as error:
            refused[path.name] = error.message
    for name, (facts, clip) in decoded.items():
        assert clip.facts() == {**facts, "bit_depth": 32}, name
        assert f"{clip.rate}Hz" in name
    assert all(message.startswith(f"'{name}' cannot be read as audio: ") for name, message in refused.items())
    assert len(decoded) >= 15
    assert refused.get("test-44100Hz-le-1ch-4bytes-incomplete-chunk.wav", "").endswith(
        ": error in WAV file: No 'data' chunk marker."
    )
    cut = "test-44100Hz-le-1ch-4bytes-early-eof.wav"
    assert refused.get(cut, "").endswith("it is cut short and holds 944 of the 17640 bytes that its header promises.")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    raw = Raw("clips/no.wav", tmp_path / "no.wav")
    assert why(raw) == "'clips/no.wav' cannot be read as audio: the file does not exist."


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert why(Raw("clips", tmp_path)) == "'clips' cannot be read as audio: it is not a file."


@pytest.mark.parametrize("name", ["note.wav", "note.raw", "note"])
def test_text_under_any_ending_is_not_audio(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("where is my card? " * 50)
    with pytest.raises(Unreadable) as caught:
        reader.facts(Raw(name, path))
    words = "where is my card? where is my card? wher"
    assert caught.value.message == f"'{name}' is a text ('{words[:39]}…'); audio is accepted."


def test_what_is_no_sound_at_all_says_why() -> None:
    assert why(Raw("a.wav", value=b"\1 audio" * 9)) == "'a.wav' cannot be read as audio: format not recognised."
    assert why(Raw("row 3")) == "'row 3' cannot be read as audio: it is neither a file nor sound."


@pytest.mark.parametrize("format", ["WAV", "AIFF", "AU", "W64", "RF64"])
def test_a_file_cut_short_is_refused_by_its_header(format: str) -> None:
    data = encoded(format)
    sentence = why(Raw("half", value=data[: len(data) // 2]))
    assert sentence.startswith("'half' cannot be read as audio: it is cut short and holds ")
    assert sentence.endswith(" that its header promises.")


def test_a_compressed_file_cut_short_is_refused_when_decoded() -> None:
    data = encoded("FLAC")
    raw = Raw("half.flac", value=data[: len(data) // 2])
    assert why(raw, only_decode=True) == "'half.flac' cannot be read as audio: flac decoder lost sync."
    data = encoded("MP3", frames=16_000)
    sentence = why(Raw("half.mp3", value=data[: len(data) // 2]), only_decode=True)
    assert sentence.endswith(" of the 16000 samples that its header promises.")


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG"])
def test_a_file_cut_anywhere_never_raises_anything_else(format: str) -> None:
    data = encoded(format, frames=400)
    for length in range(0, len(data), max(1, len(data) // 60)):
        raw = Raw("cut", value=data[:length])
        with pytest.raises(Unreadable):
            reader.decode(raw)


def test_a_file_without_samples_is_refused() -> None:
    sentence = "'empty.wav' cannot be read as audio: it holds no samples."
    assert why(Raw("empty.wav", value=encoded("WAV", frames=0))) == sentence
    assert why(Raw("empty.wav", value=Clip(np.zeros((1, 0), np.float32), 16_000))) == sentence


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    wave = np.zeros(160, np.float32)
    wave[7] = bad
    soundfile.write(tmp_path / "nan.wav", wave, 16_000, subtype="FLOAT")
    sentence = "'nan.wav' cannot be read as audio: some of its samples are not finite numbers."
    assert why(Raw("nan.wav", tmp_path / "nan.wav"), only_decode=True) == sentence
    in_memory = Raw("nan.wav", value={"array": wave, "sampling_rate": 16_000})
    assert why(in_memory, only_decode=True) == sentence


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            np.zeros(160, np.float32),
            "a ndarray does not say its rate; {'array': ..., 'sampling_rate': ...} is accepted",
        ),
        (
            {"array": np.zeros(160, np.int16), "sampling_rate": 16_000},
            "its array holds int16; floats from -1 to 1 are accepted",
        ),
        (
            {"array": np.zeros((160, 2), np.float32), "sampling_rate": 16_000},
            "its array has the shape (160, 2); (samples,) or (channels, samples) is accepted",
        ),
        (
            {"array": np.zeros(160, np.float32), "sampling_rate": 16_000.5},
            "its sampling rate is 16000.5; a whole number of Hz is accepted",
        ),
        (
            {"array": np.zeros(160, np.float32), "sampling_rate": float("inf")},
            "its sampling rate is inf; a whole number of Hz is accepted",
        ),
    ],
)
def test_sound_in_memory_is_never_guessed_at(value: np.ndarray | Mapping[str, Any], reason: str) -> None:
    assert why(Raw("input 1", value=value)) == f"'input 1' cannot be read as audio: {reason}."


def test_every_declared_fact_is_observed_and_has_its_unit(clip: Callable[..., Clip]) -> None:
    modality = registry.modality("audio")
    assert reader.items == "files"
    assert modality.units == {"bit_depth": "bits", "sampling_rate": "Hz", "duration": "s"}
    assert set(reader.facts(Raw("x", value=clip(320)))) == {fact.name for fact in modality.facts}
    assert all(fact.source for fact in modality.facts)
