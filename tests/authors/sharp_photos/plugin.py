"""A fact of images, a step that denoises them, an adapter that draws texts, and a freeze policy.

Written from docs/authors.md alone.
"""

import graftwork as gw

api_version = 1


@gw.hookimpl
def graftwork_facts():
    yield gw.FactSpec("image", gw.Fact("sharpness", "the pixels", headline=True), "sharp_photos.pixels:sharpness")


@gw.hookimpl
def graftwork_steps():
    yield gw.OptionalStep(
        "denoise", "image", "sharp_photos.pixels:denoise", loss="detail of a pixel or two", summary="a median filter"
    )


@gw.hookimpl
def graftwork_adapters():
    yield gw.Adapter(
        "image-of-letters",
        contract=gw.InputContract("text", {"encoding": gw.Exactly("utf-8")}),
        target="image",
        factory="sharp_photos.pixels:drawn",
        gives={"mode": "RGB", "orientation": 1, "bit_depth": 8, "frames": 1, "short_side": 224},
        loss="texts are shown as pictures of their letters",
    )


@gw.hookimpl
def graftwork_freeze_policies():
    yield gw.FreezePolicySpec("first", "sharp_photos.policy:build", "first:K, the first K stages train")
