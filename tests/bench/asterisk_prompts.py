"""The voice prompts of Asterisk, whose texts come with them: `transcribe` with audio/wav2vec2-tiny tuned, and with the
same network from nothing, on a voice that was never trained on.

Each language is one voice (en and es are the same woman). Debian has them: in an empty folder,

    for p in en es fr it; do apt-get download asterisk-core-sounds-$p asterisk-core-sounds-$p-wav; done
    for d in *.deb; do dpkg-deb -x $d .; done

Prints the character and word error rates of the voice that is held out, after so many epochs of each.

usage: asterisk_prompts.py FOLDER [--held it] [--epochs N] [--longest S] [--threads N] [--seed N] [--kinds K,K]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from shapes import processor

import graftwork as gw
from graftwork import API_VERSION, BackboneSpec, hookimpl
from graftwork.models.backbone import load_backbone
from graftwork.plugins import loading, registry

ENCODER = "audio/wav2vec2-tiny"
VOICES = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo"}
LINE = re.compile(r"^\s*([\w/-]+)\s*:\s*(.+?)\s*$")


class FromNothing:
    """A plugin: the encoder with random weights."""

    api_version = API_VERSION

    @hookimpl
    def graftwork_backbones(self) -> Iterator[BackboneSpec]:
        spec = registry.backbone(ENCODER)
        yield replace(spec, name="audio/from-nothing", factory=f"{__name__}:from_nothing", starter=False)


def from_nothing(spec: BackboneSpec, weights: Path | None) -> gw.Backbone:
    return load_backbone(registry.backbone(ENCODER), pretrained=False)


def texts(folder: Path, voice: str) -> dict[str, str]:
    """The text of each prompt by its name; what is in brackets is no speech (tones, comments)."""
    found = {}
    file = folder / f"usr/share/doc/asterisk-core-sounds-{voice}/core-sounds-{voice}.txt.gz"
    for line in gzip.decompress(file.read_bytes()).decode("utf-8", "replace").splitlines():
        match = None if line.startswith(";") else LINE.match(line)
        if match and not re.search(r"[\[\]()<>\ufffd]|\d", match[2]):
            words = re.sub(r"[^\w' ]", " ", match[2].lower())
            if words.strip():
                found[match[1]] = " ".join(words.split())
    return found


def table(folder: Path, held: str, longest: float, place: Path) -> Path:
    """A table of clips with texts; every tenth of the other voices is the validation split, the voice held out the test
    split."""
    path = place / "prompts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "text", "split"))
        for voice, name in VOICES.items():
            sounds = folder / "usr/share/asterisk/sounds" / name
            for number, (prompt, text) in enumerate(sorted(texts(folder, voice).items())):
                sound = sounds / f"{prompt}.wav"
                if not sound.is_file() or _seconds(sound) > longest:
                    continue
                split = "test" if voice == held else "validation" if number % 10 == 0 else "train"
                rows.writerow((sound, text, split))
    return path


def _seconds(sound: Path) -> float:
    with wave.open(str(sound)) as file:
        return file.getnframes() / file.getframerate()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--held", default="it", choices=VOICES)
    asked.add_argument("--epochs", type=int, default=20)
    asked.add_argument("--longest", type=float, default=6.0, help="seconds of a prompt, at most")
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--kinds", default="tuned,from nothing")
    said = asked.parse_args()
    torch.set_num_threads(said.threads)
    report = loading.PluginReport("from-nothing", "bench", "0")
    loading.installed().load(FromNothing(), report)
    assert not report.errors, report.errors
    print(f"{processor()}, {said.threads} threads; held out: {said.held}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        file = table(said.folder, said.held, said.longest, Path(place))
        data = gw.data(file, task="transcribe", input="file", label="text", allow_outside=True)
        for kind in said.kinds.split(","):
            begun = time.perf_counter()
            run = gw.fit(
                data, ENCODER if kind == "tuned" else "audio/from-nothing", task="transcribe", freeze="all",
                augment=True, epochs=said.epochs, patience=0, lr=4e-4, head_lr=3e-3, seed=said.seed,
            )  # fmt: skip
            test = run.metrics["test"]
            print(
                f"{kind}: cer {test['cer']:.3f}, wer {test['wer']:.3f} of the voice held out; of prompts of known voices "
                f"cer {run.metrics['cer']:.3f}; {run.record['n_train']} trained on, {run.record['n_test']} held out, "
                f"{time.perf_counter() - begun:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
