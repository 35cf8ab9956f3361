"""Spoken commands found in a stream of sound: python examples/voice_command/voice_command.py [--microphone]"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sounds import RATE, SPOKEN, WINDOW, listen, stream, training_data

import graftwork as gw

STEP = 0.1  # seconds
SURE = 0.7


def heard(run: gw.Run, sound: np.ndarray) -> list[tuple[float, str]]:
    """The commands in a sound and their seconds: the middle of the windows in a row that are sure of one."""
    starts = np.arange(0, len(sound) / RATE - WINDOW, STEP)
    windows = [sound[round(start * RATE) :][: round(WINDOW * RATE)] for start in starts]
    answers = run.predict([{"array": window, "sampling_rate": RATE} for window in windows], min_probability=SURE)
    found = []
    for label, row in groupby(zip(starts, answers, strict=True), lambda pair: pair[1]["label"]):
        seconds = [start + WINDOW / 2 for start, _ in row]
        if label not in (None, "nothing") and len(seconds) > 1:
            found.append((float(np.mean(seconds)), label))
    return found


def main(folder: Path, microphone: bool) -> None:
    gw.require_plugins("graftwork-audio[starter]")
    commands = gw.demo_data("commands", folder / "commands")
    data = training_data(commands, folder / "windows")
    checked = gw.check(data, backbone="audio/wav2vec2-tiny")
    print(f"Checked: {len(checked.data)} seconds of sound, {len(checked.problems)} problems.")
    run = gw.fit(data, "audio/wav2vec2-tiny")
    print(f"Fitted to the voices of men, judged by those of women: {run.record['headline']}")

    if microphone:
        for second, word in heard(run, listen()):
            print(f"{second:4.1f} s: {word}")
        return
    sound, begins = stream(commands)
    words = heard(run, sound)
    for begin, spoken in zip(begins, SPOKEN, strict=True):
        near = [word for second, word in words if begin <= second <= begin + 0.6]
        print(f"at {begin:4.1f} of the stream: {spoken} was said, {', '.join(near) or 'nothing'} was heard")
    print(f"{len(words)} commands were heard, {len(SPOKEN)} were said.")


if __name__ == "__main__":
    try:
        with TemporaryDirectory() as folder:
            main(Path(folder), "--microphone" in sys.argv)
    except gw.GraftworkError as error:
        sys.exit(str(error))
