"""How clips are read: the number of frames from file names and headers, then the frames."""

import io
import random
import re
from collections.abc import Mapping

import numpy as np
from PIL import Image

from clips.plugin import graftwork_modalities
from graftwork import Raw, Reader, Unreadable, Value

MEMBERS = next(graftwork_modalities()).members


class ClipReader(Reader):
    """A value is `(T, H, W, 3)` uint8, which is taken as it is too."""

    items = "clips"

    def facts(self, raw: Raw) -> Mapping[str, Value]:
        return {"frames": len(self.decode(raw))}

    def decode(self, raw: Raw) -> np.ndarray:
        if isinstance(raw.value, np.ndarray):
            return raw.value
        if raw.value is not None and not isinstance(raw.value, bytes):
            raise Unreadable(f"'{raw.name}' is a {type(raw.value).__name__}; a GIF or a folder of frames is accepted.")
        files = raw.files()
        frames = [_pictures(one)[0] for one in _numbered(raw, files)] if raw.is_folder else _pictures(files[0])
        if len({frame.shape for frame in frames}) > 1:
            raise Unreadable(f"'{raw.name}' has frames of different sizes; one size is accepted.")
        return np.stack(frames)

    def memory(self, value: np.ndarray) -> int:
        return value.nbytes


def _numbered(raw: Raw, files: list[Raw]) -> list[Raw]:
    """The frames of a folder, of which none is missing."""
    frames = [one for one in files if one.name.lower().endswith(MEMBERS)]
    numbers = [int("".join(re.findall(r"(\d+)\.\w+$", one.name)) or -1) for one in frames]
    if not frames or min(numbers) < 0:
        raise Unreadable(f"'{raw.name}' holds no numbered frames ({' or '.join(MEMBERS)} files).")
    missing = [number for number in range(numbers[0], numbers[-1]) if number not in set(numbers)]
    if missing or len(set(numbers)) < len(numbers):
        raise Unreadable(f"'{raw.name}' has frames {numbers[0]} to {numbers[-1]}, and not one of each: {missing[:3]}.")
    return frames


def _pictures(raw: Raw) -> list[np.ndarray]:
    try:
        with Image.open(io.BytesIO(raw.content())) as image:
            frames = []
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frames.append(np.asarray(image.convert("RGB")))
            return frames
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(f"'{raw.name}' cannot be read as a picture.", "Save it again, or leave it out.") from error


def sample(facts: Mapping[str, Value], rng: random.Random) -> Raw:
    """A GIF of a point that moves, in noise."""
    count = int(facts.get("frames", rng.randint(3, 8)))
    if count < 1:
        raise LookupError("there is no such clip")
    noise = np.random.default_rng(rng.getrandbits(32))
    pixels = noise.integers(0, 200, (count, 16, 16), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in pixels]
    made = io.BytesIO()
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:])
    return Raw("sample.gif", value=made.getvalue())
