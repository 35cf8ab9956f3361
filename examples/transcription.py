"""What is said in clips, from clips with texts to texts of clips: python examples/transcription.py [FOLDER]"""

from __future__ import annotations

import sys
from pathlib import Path

import graftwork as gw


def main(folder: Path) -> None:
    gw.require_plugins("graftwork-audio[starter]")
    data = gw.demo_data("digit-strings", folder / "digits")  # 96 clips of 3 to 6 digits
    # The encoder stays frozen and is asked once; a head that hears what is around each frame trains on what it said.
    run = gw.fit(data, "audio/wav2vec2-tiny", task="transcribe", epochs=20, out=folder / "run")
    for figure in run.task.figures:
        print(f"{figure.words}: {run.metrics[figure.name]:.3f}")

    clips = sorted((data / "wavs").iterdir())[:3]
    answers = run.predict(clips)
    print(f"{clips[0].name}: {answers[0]['text']}")

    print(f"As LJSpeech has it: {run.write_answers(clips, folder / 'heard')}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "transcription"))
    except gw.GraftworkError as error:
        sys.exit(str(error))
