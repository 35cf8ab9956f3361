"""At predict time the contract of the fit holds: a converted copy of an input gets the answer of the original."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import graftwork as gw


def probabilities(run: gw.Run, *inputs) -> list[list[float]]:
    answers = run.predict(list(inputs))
    assert [answer.get("error") for answer in answers] == [None] * len(inputs)
    return [list(answer["probabilities"].values()) for answer in answers]


def same(one: list[float], other: list[float], tolerance: float) -> None:
    assert one == pytest.approx(other, abs=tolerance)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> gw.Run:
    """A run on the commands of the demo at 16 kHz, through the log-mel adapter (no audio encoder needs no network)."""
    from graftwork_audio.demos import commands

    folder = tmp_path_factory.mktemp("clips")
    for label in ("stop", "yes"):
        for path in sorted((commands(folder) / label).iterdir())[:12]:
            (folder / "data" / label).mkdir(parents=True, exist_ok=True)
            (folder / "data" / label / path.name).write_bytes(path.read_bytes())
    return gw.fit(folder / "data", adapter="audio:image-logmel")


def test_a_stereo_clip_of_44100_hz_and_its_converted_copy(clips, tmp_path) -> None:
    from graftwork_audio.clip import Clip
    from graftwork_audio.convert import downmix, resample
    from graftwork_audio.demos import commands

    name = sorted((commands(tmp_path) / "yes").iterdir())[20]
    mono, rate = soundfile.read(name, dtype="float32")
    high = resample(Clip(mono[None], rate), rate, 44_100).samples[0]
    stereo = np.stack([high, 0.5 * high], 1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 44_100, subtype="FLOAT")
    converted = resample(downmix(Clip(np.ascontiguousarray(stereo.T), 44_100), 2, 1), 44_100, 16_000)
    soundfile.write(tmp_path / "mono.wav", converted.samples[0], 16_000, subtype="FLOAT")
    one, other = probabilities(clips, tmp_path / "stereo.wav", tmp_path / "mono.wav")
    same(one, other, 1e-3)
    assert one[clips.labels.index("yes")] > 0.5


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> gw.Run:
    from sklearn.datasets import load_sample_images

    folder = tmp_path_factory.mktemp("photos")
    for label, pixels in zip(("temple", "flower"), load_sample_images().images, strict=True):
        for number in range(8):
            (folder / label).mkdir(exist_ok=True)
            cut = Image.fromarray(pixels).crop((40 * number, 0, 40 * number + 300, 300))
            cut.save(folder / label / f"{number}.png")
    return gw.fit(folder, "image/efficientnet-lite0")


def picture() -> Image.Image:
    from sklearn.datasets import load_sample_images

    return Image.fromarray(load_sample_images().images[1]).crop((100, 100, 420, 400))


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_a_cmyk_jpeg_and_its_converted_copy(photos, tmp_path) -> None:
    cmyk = saved(picture().convert("CMYK"), tmp_path / "print.jpg", quality=95)
    copy = saved(Image.open(cmyk).convert("RGB"), tmp_path / "screen.png")
    one, other = probabilities(photos, cmyk, copy)
    same(one, other, 1e-6)
    assert max(one) == one[photos.labels.index("flower")]


def test_a_turned_a_transparent_a_deep_and_an_animated_picture_and_their_plain_copies(photos, tmp_path) -> None:
    plain = picture()
    exif = Image.Exif()
    exif[274] = 6
    turned = saved(plain.transpose(Image.Transpose.ROTATE_90), tmp_path / "turned.png", exif=exif)
    clear = saved(plain.convert("RGBA"), tmp_path / "clear.png")
    grey = np.asarray(plain.convert("L"))
    deep = saved(Image.fromarray(grey.astype(np.uint16) * 257), tmp_path / "deep.png")
    moving = saved(plain, tmp_path / "moving.png", save_all=True, append_images=[Image.new("RGB", plain.size)])
    flat = saved(plain, tmp_path / "plain.png")
    shallow = saved(Image.fromarray(grey), tmp_path / "grey.png")
    found = probabilities(photos, turned, clear, moving, flat, deep, shallow)
    for one, other in ((0, 3), (1, 3), (2, 3), (4, 5)):
        same(found[one], found[other], 1e-6)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> gw.Run:
    path = tmp_path_factory.mktemp("texts") / "t.csv"
    rows = [(f"the café is open, table {i}", "café") for i in range(10)]
    rows += [(f"the train leaves at {i} from Zürich", "train") for i in range(10)]
    path.write_text("text,label\n" + "\n".join(f'"{text}",{label}' for text, label in rows), encoding="utf-8")
    return gw.fit(path, "text/minilm")


def test_a_latin_1_a_utf_16_a_decomposed_and_a_marked_text_and_their_plain_copy(texts, tmp_path) -> None:
    words = "Is the café in Zürich open?"
    (tmp_path / "latin.txt").write_bytes(words.encode("latin-1"))
    (tmp_path / "wide.txt").write_bytes(words.encode("utf-16"))
    decomposed = words.replace("é", "e\u0301").replace("ü", "u\u0308")
    given = [tmp_path / "latin.txt", tmp_path / "wide.txt", decomposed, "\ufeff" + words, words.lower()]
    argument = words.encode("latin-1").decode("utf-8", "surrogateescape")
    expected, *found = probabilities(texts, words, *given, argument)
    for one in found:
        same(one, expected, 1e-6)
    assert texts.predict([argument])[0]["input"] == words


def test_what_the_encoder_cannot_read_costs_only_its_own_answer_and_says_why(texts) -> None:
    answers = texts.predict(["где мой кофе", "a café", "x" + chr(0)])
    assert [answer["label"] is None for answer in answers] == [True, False, True]
    assert answers[0]["error"] == (
        "'где мой кофе' does not fit: its script is Cyrillic; backbone 'text/minilm' wants Latin or none."
    )
    assert answers[2]["error"].endswith("is not text: it holds the control character 0x00.")


def test_bytes_of_an_image_are_taken_too(photos) -> None:
    made = io.BytesIO()
    picture().save(made, "PNG")
    assert photos.predict([{"bytes": made.getvalue(), "path": None}])[0]["label"] == "flower"
