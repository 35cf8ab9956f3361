"""Pictures, messages and clips by one function, and a mismatch that is refused: python examples/three_modalities.py"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import graftwork as gw

ENCODERS = {"digits": "image/efficientnet-lite0", "messages": "text/minilm", "commands": "audio/wav2vec2-tiny"}


def main(folder: Path) -> None:
    # Data that come with the plugins: pictures in folders, a table of messages, clips in folders.
    gw.require_plugins("graftwork-efficientnet-lite", "graftwork-text[starter]", "graftwork-audio[starter]")
    data = {name: gw.demo_data(name, folder / name) for name in ENCODERS}
    for picture in data["digits"].glob("*/0[2-5]?.png"):
        picture.unlink()  # twenty of each digit will do

    # The three calls differ in nothing but the data and the name of the encoder.
    runs = {}
    for name, encoder in ENCODERS.items():
        runs[name] = gw.fit(data[name], encoder, tap="last")
        print(f"{name}, {encoder}: {runs[name].record['headline']}")

    # A run answers for files and for texts.
    asked = {
        "digits": data["digits"] / "7" / "003.png",
        "messages": "where is my parcel",
        "commands": data["commands"] / "validation" / "left" / "left-en-us-f2-170.flac",
    }
    for name, example in asked.items():
        (answer,) = runs[name].predict(example)
        print(f"{Path(example).name}: {answer['label']}, sure to {answer['probabilities'][answer['label']]:.0%}")

    # What the encoder was pretrained to read is compared with what the data are.
    print("Clips for an encoder of texts are refused, before a weight is loaded:")
    try:
        gw.fit(data["commands"], "text/minilm")
    except gw.InputMismatch as error:
        print(error)


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder))
    except gw.GraftworkError as error:
        sys.exit(str(error))
