"""Two encoders that are code alone: the spectrum of sound, and a fixed random projection of pictures."""

import graftwork as gw

api_version = 1
ABOUT = {
    "weights": gw.NoWeights(),
    "parameters": 0,
    "license": "MIT",
    "source": "this file",
    "pretrained_on": "nothing",
}
HEARD = {
    "sampling_rate": gw.Exactly(16_000, "Hz"),
    "channels": gw.Exactly(1),
    "duration": gw.Within(0.1, 10.0, "s"),
}
SEEN = {
    "mode": gw.Exactly("RGB"),
    "frames": gw.Exactly(1),
    "orientation": gw.Exactly(1),
    "bit_depth": gw.AtMost(8, "bits"),
}


@gw.hookimpl
def graftwork_backbones():
    yield gw.BackboneSpec(
        "audio/spectrum",
        contract=gw.InputContract("audio", HEARD, {"frame": 512}),
        factory="plain_features.model:spectrum",
        stages=("spectrum",),
        feature_dim=257,
        **ABOUT,
    )
    about = {
        "resize": 32,
        "crop": 32,
        "interpolation": "bilinear",
        "range": (0.0, 1.0),
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
    }
    yield gw.BackboneSpec(
        "image/projection",
        contract=gw.InputContract("image", SEEN, {**about, "seed": 0}),
        factory="plain_features.model:projection",
        stages=("projection",),
        feature_dim=64,
        **ABOUT,
    )
