"""Sound in the files of phones, browsers and cameras, read through PyAV; and what is no sound, by its bytes."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from graftwork import Empty, Raw, Unreadable
from graftwork_audio.reader import AudioReader

av = pytest.importorskip("av")
reader = AudioReader()
RATE = 16_000
TIME = np.arange(RATE) / RATE
TONE = 0.4 * np.sin(2 * np.pi * (200 * TIME + 900 * TIME**2))  # rises, so that no shift looks like another
STEREO = np.stack([TONE, 0.5 * TONE[::-1]], axis=1).astype(np.float32)


def sound(
    path: Path, codec: str, samples: np.ndarray = STEREO, rate: int = RATE, pictures: str = "", **options: Any
) -> Path:
    """A file with these samples `(T, C)`, whole numbers of 16 bits. pictures: "video", "cover" or none."""
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    whole = np.ascontiguousarray((samples * 32_768).round().astype(np.int16).reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(whole, format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    with av.open(str(path), "w", **options) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.layout = layout
        if codec == "wavpack":
            stream.format = "s16p"
        seen: Any = None
        if pictures:
            seen = container.add_stream("mjpeg", rate=1)
            seen.width, seen.height, seen.pix_fmt = 32, 32, "yuvj420p"
            if pictures == "cover":
                seen.disposition = av.stream.Disposition.attached_pic
        change = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate)
        queue = av.AudioFifo()
        for part in change.resample(frame):
            queue.write(part)
        size = stream.codec_context.frame_size or 1024
        if seen is not None:
            for packet in [*seen.encode(av.VideoFrame(32, 32, "yuvj420p")), *seen.encode(None)]:
                container.mux(packet)
        while (part := queue.read(size, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def raw(path: Path) -> Raw:
    return Raw(path.name, path)


def why(example: Raw) -> str:
    """The sentence with which every method refuses the example."""
    said = set()
    for method in (reader.facts, reader.decode):
        with pytest.raises(Unreadable) as caught:
            method(example)
        said.add(str(caught.value))
    assert len(said) == 1
    return said.pop()


CODECS = {
    "clip.m4a": "aac", "clip.mp4": "aac", "clip.mov": "aac", "clip.aac": "aac", "clip.webm": "libopus", "clip.mkv": "aac",
    "clip.ac3": "ac3", "clip.mpg": "mp2", "clip.ts": "aac", "clip.flv": "aac", "clip.avi": "mp2",
}  # fmt: skip


@pytest.mark.parametrize("name", CODECS)
def test_compressed_sound_is_that_of_the_wave_file(tmp_path: Path, name: str) -> None:
    rate = 48_000 if name.endswith(("webm", "ac3", "flv", "mpg", "avi")) else RATE
    samples = np.repeat(STEREO, rate // RATE, axis=0)
    example = raw(sound(tmp_path / name, CODECS[name], samples, rate))
    facts, clip = reader.read(example)
    assert facts == reader.facts(example)
    assert (facts["sampling_rate"], facts["channels"], facts["bit_depth"], facts["video"]) == (
        rate,
        2,
        "compressed",
        "none",
    )
    assert clip.samples.shape[1] * 1000 // rate / 1000 == facts["duration"]
    assert 0 <= clip.samples.shape[1] - len(samples) <= 2 * 2048  # a codec fills up its frames
    shift = int(np.argmax(np.correlate(clip.samples[0, :11_000], samples[:8_000, 0], "valid")))
    assert np.corrcoef(clip.samples[0, shift : shift + 8_000], samples[:8_000, 0])[0, 1] > 0.95
    assert shift == 0 or name.endswith(("aac", "ac3", "mpg", "ts", "flv", "avi"))  # what a codec adds before is cut off
    assert abs(reader.size(example) / clip.samples.shape[1] - 1) < 0.2


def test_a_phones_recording_is_read_too(tmp_path: Path) -> None:
    example = raw(sound(tmp_path / "call.amr", "libopencore_amrnb", STEREO[::2, :1], 8_000))
    assert (reader.facts(example)["sampling_rate"], reader.decode(example).samples.shape[0]) == (8_000, 1)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mov", "pcm_s16be"), ("a.mov", "pcm_s16le"), ("a.mkv", "flac"), ("a.wv", "wavpack"), ("a.avi", "pcm_s16le")],
)
def test_sound_without_loss_is_the_wave_file_bit_for_bit(tmp_path: Path, name: str, codec: str) -> None:
    soundfile.write(tmp_path / "a.wav", STEREO, RATE, subtype="PCM_16")
    wave, other = raw(tmp_path / "a.wav"), raw(sound(tmp_path / name, codec, soundfile.read(tmp_path / "a.wav")[0]))
    assert reader.facts(other) == reader.facts(wave)
    np.testing.assert_array_equal(reader.decode(other).samples, reader.decode(wave).samples)
    assert reader.digest(other) == reader.digest(wave)


def test_sound_without_loss_from_a_phone_is_the_wave_file_bit_for_bit(tmp_path: Path) -> None:
    wave, alac = (raw(sound(tmp_path / name, codec)) for name, codec in (("a.wav", "pcm_s16le"), ("a.m4a", "alac")))
    assert reader.facts(alac) == {**reader.facts(wave), "bit_depth": 24}  # as FFmpeg's encoder stores it
    assert reader.digest(alac) == reader.digest(wave)


@pytest.mark.parametrize(
    ("codec", "depth"), [("pcm_s24le", 24), ("pcm_f32le", 32), ("pcm_mulaw", "8-bit telephone code")]
)
def test_the_depth_of_samples_is_that_of_the_file(tmp_path: Path, codec: str, depth: int | str) -> None:
    assert reader.facts(raw(sound(tmp_path / "a.mov", codec)))["bit_depth"] == depth


def test_encoded_bytes_are_read_like_the_file(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.m4a", "aac")
    inside = Raw("a", value=path.read_bytes())
    assert reader.facts(inside) == reader.facts(raw(path))
    np.testing.assert_array_equal(reader.decode(inside).samples, reader.decode(raw(path)).samples)


def test_facts_keep_one_frame_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graftwork_audio.containers import Track

    monkeypatch.setattr(Track, "read", lambda track: pytest.fail("all of it was read"))
    assert reader.facts(raw(sound(tmp_path / "a.m4a", "aac")))["sound"] == "audible"


def test_what_libsndfile_reads_stays_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound(tmp_path / "a.mp3", "libmp3lame")
    monkeypatch.setattr("graftwork_audio.reader._by_ffmpeg", lambda *_: pytest.fail("FFmpeg was asked"))
    assert reader.facts(raw(tmp_path / "a.mp3"))["bit_depth"] == "compressed"


def test_the_sound_of_a_video_is_read_and_the_pictures_are_said_to_be_left(tmp_path: Path) -> None:
    video = raw(sound(tmp_path / "video.mov", "aac", pictures="video"))
    cover = raw(sound(tmp_path / "cover.mp4", "aac", pictures="cover"))
    assert [reader.facts(example)["video"] for example in (video, cover)] == ["present", "none"]


def test_a_video_without_sound_is_said_to_have_none(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mov"), "w") as container:
        seen: Any = container.add_stream("mjpeg", rate=1)
        seen.width, seen.height, seen.pix_fmt = 32, 32, "yuvj420p"
        container.mux([*seen.encode(av.VideoFrame(32, 32, "yuvj420p")), *seen.encode(None)])
    with pytest.raises(Empty, match="'mute.mov' cannot be read as audio: it is a video without sound"):
        reader.facts(raw(tmp_path / "mute.mov"))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.m4a", "aac", {}), ("fast.mp4", "aac", {"options": {"movflags": "+faststart"}}), ("a.mkv", "flac", {}),
        ("a.mkv", "aac", {}), ("a.avi", "pcm_s16le", {}), ("a.wv", "wavpack", {}), ("a.mp3", "libmp3lame", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", [0.3, 0.8])
def test_a_download_that_broke_off_is_refused(
    tmp_path: Path, name: str, codec: str, options: dict, part: float
) -> None:
    whole = sound(tmp_path / name, codec, **options).read_bytes()
    said = why(Raw(name, value=whole[: int(len(whole) * part)]))
    assert any(words in said for words in ("cut short", "holds no samples")), said


@pytest.mark.parametrize("tag", [b"drms", b"enca"])
def test_encrypted_sound_is_refused(tmp_path: Path, tag: bytes) -> None:
    content = sound(tmp_path / "a.m4a", "aac").read_bytes().replace(b"mp4a", tag)
    assert "its sound is encrypted, or in a form that FFmpeg does not know" in why(Raw("a.m4p", value=content))


def test_without_pyav_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = raw(sound(tmp_path / "a.m4a", "aac"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "av" else find(name, *rest))
    assert why(example) == (
        "'a.m4a' is an M4A sound that libsndfile does not read; FFmpeg does, through PyAV. "
        "Install it: pip install 'graftwork-audio[av]'"
    )
    # What libsndfile reads is not helped by PyAV, so a damaged file is not said to be.
    damaged = Raw("a.wav", value=b"RIFF\0\0\0\0WAVE")
    assert "pip install" not in why(damaged)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.wav", "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG image; audio is accepted. Save what it holds as audio, or leave it out."),
        (b"<!DOCTYPE html><title>404 Not\n Found</title>", "is an HTML page ('404 Not Found'); audio is accepted. Fetch it again: "),
        (b'{"message": "no access"}', 'is a JSON text ({"message": "no access"}); audio is accepted. Fetch it again: '),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer, not the file itself; audio is accepted. Fetch "),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "is a text ('#EXTM3U #EXTINF:1, file:///etc/passwd'); audio is accepted. "),
        (archive(), "is a ZIP archive; audio is accepted. Unpack it first."),
        (b"\0" * 900, "is nothing but zero bytes, as a copy or download that broke off leaves them; audio is accepted. Copy or "),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "content",
)  # fmt: skip
def test_what_is_no_sound_is_said_by_its_bytes(content: bytes, said: str) -> None:
    assert why(Raw("clip.m4a", value=content)).startswith(f"'clip.m4a' {said}")


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").touch()
    with pytest.raises(Empty, match="'a.m4a' cannot be read as audio: it is empty"):
        reader.facts(raw(tmp_path / "a.m4a"))


@pytest.mark.parametrize("mark", [b"", b"ID3", b"\xff\xf1\x50\x80", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x08wide", b"#!AMR\n"])
def test_a_playlist_in_the_guise_of_a_clip_is_not_followed(tmp_path: Path, mark: bytes) -> None:
    """FFmpeg by itself would play what the list names."""
    clip = sound(tmp_path / "secret.m4a", "aac")
    (tmp_path / "a.m4a").write_bytes(
        mark + b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + f"file:{clip}\n".encode()
    )
    with pytest.raises(Unreadable):
        reader.facts(raw(tmp_path / "a.m4a"))


def test_a_name_cannot_choose_what_ffmpeg_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg reads `concat:a|b` as two files; here it is the name of one."""
    monkeypatch.chdir(tmp_path)
    sound(tmp_path / "a.m4a", "aac").rename(tmp_path / "concat:a|b.m4a")
    assert reader.facts(Raw("x", Path("concat:a|b.m4a")))["channels"] == 2
