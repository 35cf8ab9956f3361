"""Describes image encoders in hub layout by their small config files; nothing here computes."""

from __future__ import annotations

from typing import Any

from graftwork import ANY_HUB_WEIGHTS, BackboneSpec, DataError, ModelFolder, limits
from graftwork_image.families import MAPPED, WHOLE
from graftwork_image.plugin import CONVOLUTIONAL, TRANSFORMER, reads

INTERPOLATION = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which preprocessor_config.json has."""
SHORTER = ("BitImageProcessor", "ConvNextImageProcessor")
"""Processors for which a size of one number is that of the shorter side; for others, of both."""
CROPPING = "ConvNextImageProcessor"
"""Resizes to more than it keeps, by `crop_pct`, below 384 pixels; from there on to both sides (transformers)."""
BICUBIC = ("BitImageProcessor", "DeiTImageProcessor")
"""Processors that are bicubic where the file does not say; others are bilinear."""


def mapped(model: ModelFolder) -> BackboneSpec:
    """The spec of a ViT, DeiT, DINOv2, ResNet, ConvNeXt or Swin encoder.

    Raises `DataError` when preprocessor_config.json is missing, or prepares images as is not done here.
    """
    family = MAPPED[model.config["model_type"]]
    config = {**family.defaults, **model.config}
    if "depths" in family.defaults:
        count = len(config["depths"])
        width = config["hidden_sizes"][-1] if "hidden_sizes" in config else config["embed_dim"] * 2 ** (count - 1)
    else:
        count, width = config["num_hidden_layers"], config["hidden_size"]
    layers = (f"{family.layer}{number}" for number in range(1, count + 1))
    stages = (family.first, *layers, *(("norm",) if family.normed else ()))
    return _spec(model, factory="graftwork_image.hub_models:build", stages=stages, width=width)


def whole(model: ModelFolder) -> BackboneSpec:
    """The spec of an encoder whose layers are not mapped: transformers' model as one stage.

    Raises `DataError` as `mapped` does, and where config.json does not say its size.
    """
    kind, _, field = WHOLE[model.config["model_type"]]
    width = model.config.get(field)
    if not width:
        raise DataError(
            f"The config.json of '{model.name}' does not say {field}, so it cannot be described.",
            "Save the model again with transformers: model.save_pretrained(FOLDER)",
        )
    note = f"The layers of {kind} are not mapped to stages yet, so it is one stage: it stays frozen or trains whole."
    width = width[-1] if isinstance(width, list) else width
    return _spec(model, factory="graftwork_image.hub_models:build_whole", stages=("model",), width=width, note=note)


def _spec(model: ModelFolder, *, factory: str, stages: tuple[str, ...], width: int, note: str = "") -> BackboneSpec:
    return BackboneSpec(
        name=model.name,
        contract=reads(**preparation(model)),
        factory=factory,
        weights=model.weights(*ANY_HUB_WEIGHTS),
        stages=stages,
        feature_dim=width,
        parameters=model.parameters(_is_encoder),
        license=model.license,
        source=model.source,
        pretrained_on=model.pretrained_on,
        config=model.config,
        recipe=CONVOLUTIONAL if stages[0] == "stem" else TRANSFORMER,
        note=note,
        views=("pooled",) if stages == ("model",) else ("pooled", "map", "pyramid"),
    )


def preparation(model: ModelFolder) -> dict[str, Any]:
    """How images become numbers, by preprocessor_config.json: what `reads` takes.

    Raises `DataError` when the file is missing or says what is not done here.
    """
    model.want("preprocessor_config.json")
    said = model.read("preprocessor_config.json")
    kind = said.get("image_processor_type") or said.get("feature_extractor_type") or ""
    kind = kind.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    resize, crop = _sizes(model, said, kind)
    interpolation = INTERPOLATION.get(said.get("resample") or (3 if kind in BICUBIC else 2))
    if interpolation is None:
        raise _unread(model, f"resamples by {said['resample']} in Pillow's numbers", "2 (bilinear) and 3 (bicubic)")
    scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    normal = said.get("do_normalize", True)
    return {
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
        "range": (0.0, round(255 * scale, 6)),
        "mean": tuple(said["image_mean"]) if normal else (0.0, 0.0, 0.0),
        "std": tuple(said["image_std"]) if normal else (1.0, 1.0, 1.0),
    }


def _sizes(model: ModelFolder, said: dict[str, Any], kind: str) -> tuple[int | tuple[int, int], int]:
    """What images are resized to (the shorter side, or height and width), and the square that is kept, in pixels."""
    size = said.get("size")
    if isinstance(size, int):
        size = {"shortest_edge": size} if kind in SHORTER else {"height": size, "width": size}
    size = size or {}
    crop = said.get("crop_size") if said.get("do_center_crop") else None
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    edge, both = size.get("shortest_edge"), (size.get("height", 0), size.get("width", 0))
    if edge and kind == CROPPING:
        larger = int(edge / said.get("crop_pct", 224 / 256))
        return (larger, edge) if edge < 384 else ((edge, edge), edge)
    if not said.get("do_resize", True) or not (edge or all(both)):
        raise _unread(model, "does not resize images", "a size")
    sides = [edge or 0, *both, *(crop.values() if crop else ())]
    if not all(isinstance(side, int) and 0 <= side * side <= limits().image_pixels for side in sides):
        raise _unread(model, f"resizes images to {max(map(str, sides), key=len)}", "sides within `image_pixels`")
    height, width = (crop["height"], crop["width"]) if crop else both
    if not height or height != width:
        raise _unread(model, f"cuts images to {height} x {width}" if height else "keeps their shape", "a square")
    return edge or both, height


def _unread(model: ModelFolder, what: str, accepted: str) -> DataError:
    return DataError(
        f"The preprocessor_config.json of '{model.name}' {what}; {accepted} can be prepared.", "Name another model."
    )


HEADS = ("pooler", "classifier", "mask_token", "decoder.", "lm_head")
"""What the names of tensors hold that belong to a head or to pretraining."""
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index")


def _is_encoder(key: str) -> bool:
    return not any(head in key for head in HEADS) and not key.endswith(BUFFERS)
