"""Extraction against what its parts allow: examples a second of `extract`, over those that decoding, preparing and the
chosen engine allow together, each measured alone on all cores, in one process; and over torch's bare loop in fp32 on
prepared batches.

MiniLM on short messages, ResNet-50 (random weights, which cost the same) and EfficientNet-Lite0 on JPEG files of 500 x 375
pixels, and a wav2vec 2.0 of base size (random weights) on clips of 3 s. Usage: extraction_bound.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from figures import figure

sys.path.insert(0, str(Path(__file__).parent))


def seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def photographs(folder: Path, count: int) -> Path:
    import numpy as np
    from PIL import Image, ImageFilter

    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375))
        noise = Image.fromarray(rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(2))
        Image.blend(coarse, noise, 0.3).save(place / f"{number}.jpg", quality=90)
    return folder


def clips(folder: Path, count: int) -> Path:
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{number}.wav", rng.normal(0, 0.1, 48_000).astype("float32"), 16_000)
    return folder


def measure(name: str, data: Any, backbone: Any, rounds: int) -> None:
    import torch

    from graftwork.data.pipeline import Pipeline
    from graftwork.features.examples import Examples, batches
    from graftwork.features.extraction import Extractor
    from graftwork.freeze.freezing import stage_digests, weights_digest
    from graftwork.plugins import registry

    cores = torch.get_num_threads()
    pipeline = Pipeline(backbone.spec.contract, registry.agree_on(backbone.spec, data.observed), data.modality)
    examples = Examples(backbone, pipeline, data.raws)
    numbers, tap = list(range(len(data))), backbone.tap("last")
    layout = torch.channels_last if backbone.channels_last else torch.preserve_format
    backbone.eval().to(memory_format=layout)
    weights = weights_digest(stage_digests(backbone.stages()))
    extractor = Extractor(backbone, tap=tap, engine="auto", weights=weights)
    extractor(examples, numbers[:8])  # settles what it computes by
    assert extractor.choice is not None
    engine = extractor.runner(extractor.choice, examples)

    def once() -> tuple[float, ...]:
        read: list[Any] = []
        states: list[Any] = []
        with ThreadPoolExecutor(cores) as pool:
            decode = seconds(lambda: read.extend(pool.map(examples.read, numbers)))
            values = [example.parts[0].value for example in read]
            groups = batches(Examples(backbone, pipeline, data.raws).sizes(numbers), backbone.batch_size)
            prepare = seconds(
                lambda: states.extend(pool.map(lambda group: backbone.prepare([values[i] for i in group]), groups))
            )
        with torch.inference_mode():
            states[:] = [type(s)(s.hidden.to(memory_format=layout), s.mask) for s in states]
            bare = seconds(lambda: [backbone.features(state, tap) for state in states])
            engine(states[0])
            forward = seconds(lambda: [engine(state) for state in states])
        fresh = Examples(backbone, pipeline, data.raws)
        return decode, prepare, bare, forward, seconds(lambda: extractor(fresh))

    rows = [once() for _ in range(rounds)]
    decode, prepare, bare, forward, whole = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"{name}: {len(data)} examples by {extractor.choice}; decode {decode:.2f} s, prepare {prepare:.2f} s, the engine "
        f"{forward:.2f} s, torch fp32 {bare:.2f} s; extract {whole:.2f} s ({len(data) / whole:.0f}/s)",
        flush=True,
    )
    allowed = statistics.median((row[0] + row[1] + row[3]) / row[4] for row in rows)
    figure(f"extraction of {name}, of what decoding, preparing and the engine allow", allowed)
    ratio = statistics.median(row[2] / row[4] for row in rows)
    figure(f"extraction of {name}, files and all, over torch's bare loop in fp32", ratio, "times")


def main(rounds: int) -> None:
    import texts
    import torch

    import graftwork as gw
    from graftwork.plugins import registry

    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = gw.data(texts.write(work / "t.csv", 2000))
        measure("MiniLM", data, gw.load_backbone(registry.backbone("text/minilm")), rounds)
        data = gw.data(photographs(work / "photographs", 200))
        resnet = gw.load_backbone(registry.backbone("image/resnet50"), pretrained=False)
        measure("ResNet-50", data, resnet, rounds)
        measure("EfficientNet-Lite0", data, gw.load_backbone(registry.backbone("image/efficientnet-lite0")), rounds)
        data = gw.data(clips(work / "clips", 24))
        wav2vec2 = gw.load_backbone(registry.backbone("audio/wav2vec2-base"), pretrained=False)
        measure("wav2vec2 base", data, wav2vec2, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
