"""A text encoder without weights: words hashed into buckets, counted, and mixed by a fixed random projection.

Written from docs/authors.md alone.
"""

import graftwork as gw

api_version = 1
BUCKETS, WIDTH, SEED = 4096, 128, 0


@gw.hookimpl
def graftwork_backbones():
    yield gw.BackboneSpec(
        name="text/hashing",
        contract=gw.InputContract(
            "text",
            {"encoding": gw.Exactly("utf-8"), "characters": gw.AtLeast(1)},
            {"buckets": BUCKETS, "width": WIDTH, "seed": SEED},
        ),
        factory="hashing_texts.model:build",
        weights=gw.NoWeights(),
        stages=("projection",),
        feature_dim=WIDTH,
        parameters=0,
        license="MIT",
        source="this file",
        pretrained_on="nothing: it counts words",
    )
