"""What the image plugin registers; its top level imports nothing heavy."""

from __future__ import annotations

from graftwork import (
    API_VERSION,
    AnnotationSpec,
    ArchitectureSpec,
    AtLeast,
    AtMost,
    BackboneSpec,
    Converter,
    DecoderSpec,
    Defect,
    Demo,
    Exactly,
    Fact,
    HeadSpec,
    InputContract,
    Modality,
    ObjectiveSpec,
    OneOf,
    Preferably,
    Recipe,
    Requirement,
    Resolver,
    TaskSpec,
    UrlWeights,
    Value,
    Within,
    hookimpl,
    show,
)
from graftwork_image.families import MAPPED, WHOLE

api_version = API_VERSION

EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".avif",
    ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".icb",
    ".vda", ".vst", ".ico", ".cur", ".icns", ".pcx", ".dcx", ".dds", ".mpo", ".psd", ".qoi", ".sgi", ".rgb", ".rgba",
    ".bw", ".fli", ".flc", ".fit", ".fits", ".blp", ".ftc", ".ftu", ".gbr", ".im", ".msp", ".pcd", ".pxr", ".ras",
    ".xbm", ".xpm", ".heic", ".heif", ".hif",
)  # fmt: skip
"""What Pillow reads by itself. The last three are read where pillow-heif is installed; elsewhere the reader says how to
install it."""

FACTS = (
    Fact("frames", "the header"),
    Fact("orientation", "the EXIF tag"),
    Fact("bit_depth", "the header", "bits"),
    Fact("mode", "the header"),
    Fact("width", "the header", "px"),
    Fact("height", "the header", "px"),
    Fact("short_side", "the header", "px"),
)

DEFECTS = (
    Defect(
        "blank",
        "blank as the encoder sees it: one colour, or nearly",
        "Look at them: what is drawn in white on a transparent ground vanishes on the white that is put behind it",
    ),
)

ENLARGED = "they are enlarged and hold no detail that fine"


def reads(resize: int | tuple[int, int], crop: int, **preparation: object) -> InputContract:
    """What an encoder reads that was pretrained on upright RGB photographs resized to `resize` pixels (of the shorter
    side, or height and width) and cut to `crop`.
    """
    facts: dict[str, Requirement] = {
        "frames": Exactly(1),
        "orientation": Exactly(1),
        "bit_depth": AtMost(8, "bits"),
        "mode": Exactly("RGB"),
        "short_side": Preferably(AtLeast(crop, "px"), ENLARGED),
    }
    return InputContract("image", facts, {"resize": resize, "crop": crop, **preparation})


IMAGENET = {
    "interpolation": "bilinear",
    "range": (0.0, 1.0),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}

LOST = {
    **dict.fromkeys(("RGBA", "RGBa", "LA", "La", "PA"), "transparency is replaced by white"),
    **dict.fromkeys(("CMYK", "LAB"), "print colours are shown by the nearest screen colours"),
}
DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
MODES = ("1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV", *LOST, *DEEP)
"""The pixel modes (as Pillow names them) that can be turned into RGB."""


def _mode_loss(seen: Value, to: Value) -> str:
    return LOST.get(str(seen), "")


def _depth_loss(seen: Value, to: Value) -> str:
    return f"{show(seen)} bits a channel become {show(to)}"


def _frames_loss(seen: Value, to: Value) -> str:
    return "only the first frame or page is read"


@hookimpl
def graftwork_modalities():
    yield Modality(
        "image",
        noun="images",
        reader="graftwork_image.reader:ImageReader",
        facts=FACTS,
        defects=DEFECTS,
        extensions=EXTENSIONS,
        features=("Image",),
        preparer="graftwork_image.prepare:build",
        likeness="graftwork_image.likeness:ImageLikeness",
        augment="graftwork_image.augment:build",
        sample="graftwork_image.sample:build",
    )


@hookimpl
def graftwork_converters():
    yield Converter(
        "to-rgb",
        modality="image",
        fact="mode",
        factory="graftwork_image.convert:to_rgb",
        accepts=OneOf(MODES),
        gives=Exactly("RGB"),
        loss=_mode_loss,
    )
    yield Converter(
        "to-8-bit",
        modality="image",
        fact="bit_depth",
        factory="graftwork_image.convert:to_8_bit",
        accepts=Within(9, 64, "bits"),
        gives=Exactly(8, "bits"),
        loss=_depth_loss,
    )
    yield Converter(
        "first-frame",
        modality="image",
        fact="frames",
        factory="graftwork_image.convert:first_frame",
        accepts=AtLeast(2),
        gives=Exactly(1),
        loss=_frames_loss,
    )
    yield Converter(
        "exif-turn",
        modality="image",
        fact="orientation",
        factory="graftwork_image.convert:exif_turn",
        accepts=OneOf(tuple(range(2, 9))),
        gives=Exactly(1),
    )


CONVOLUTIONAL = Recipe(
    learning_rate=1e-4,
    batch_size=32,
    epochs=5,
    source="fastai's fine_tune, the middle of its 1e-5 to 1e-3",
)
TRANSFORMER = Recipe(
    learning_rate=2e-5, batch_size=16, epochs=5, source="transformers' image classification example, ViT on beans"
)


def _torchvision(
    name: str,
    file: str,
    size_bytes: int,
    stages: tuple[str, ...],
    dims: tuple[int, ...],
    parameters: int,
    resize: int,
    crop: int = 224,
    recipe: Recipe = CONVOLUTIONAL,
    views: tuple[str, ...] = ("pooled", "map", "pyramid"),
) -> BackboneSpec:
    return BackboneSpec(
        name=f"image/{name}",
        contract=reads(resize, crop, **IMAGENET),
        factory="graftwork_image.torchvision_models:build",
        weights=UrlWeights(
            f"https://download.pytorch.org/models/{file}.pth", sha256=file.rsplit("-", 1)[-1], size_bytes=size_bytes
        ),
        stages=stages,
        feature_dim=dims[-1],
        parameters=parameters,
        license="BSD-3-Clause",
        source="torchvision",
        pretrained_on="ImageNet-1k, 1.28 million photographs in 1 000 classes",
        config={"model": name.replace("-", "_"), "dims": dims},
        recipe=recipe,
        views=views,
    )


@hookimpl
def graftwork_backbones():
    stages = ("stem", "layer1", "layer2", "layer3", "layer4")
    dims = (64, 64, 128, 256, 512)
    yield _torchvision("resnet18", "resnet18-f37072fd", 46_830_571, stages, dims, 11_176_512, 256)
    dims = (64, 256, 512, 1024, 2048)
    yield _torchvision("resnet50", "resnet50-11ad3fa6", 102_540_417, stages, dims, 23_508_032, 232)
    blocks = tuple(f"block{i + 1}" for i in range(12))
    stages, dims = ("stem", *blocks, "norm"), (768,) * 14
    yield _torchvision("vit-b-16", "vit_b_16-c867db91", 346_328_529, stages, dims, 85_798_656, 256, recipe=TRANSFORMER)
    stages, dims = (*blocks[:5], "fc6", "fc7"), (64, 128, 256, 512, 512, 4096, 4096)
    yield _torchvision("vgg16", "vgg16-397923af", 553_433_881, stages, dims, 134_260_544, 256)
    stages = ("stem", "mixed5b", "mixed5c", "mixed5d", "mixed6a", "mixed6b", "mixed6c", "mixed6d", "mixed6e", "mixed7a")
    stages, dims = (*stages, "mixed7b", "mixed7c"), (192, 256, 288, 288, *(768,) * 5, 1280, 2048, 2048)
    yield _torchvision(
        "inception-v3", "inception_v3_google-0cc3c7bd", 108_949_747, stages, dims, 21_785_568, 342, 299,
        views=("pooled",),  # its convolutions cut edges off, so its maps have no stride
    )  # fmt: skip


@hookimpl
def graftwork_resolvers():
    yield Resolver("torchvision", factory="graftwork_image.torchvision_models:resolve")
    yield Resolver(factory="graftwork_image.resolve:mapped", model_types=tuple(MAPPED))
    yield Resolver(factory="graftwork_image.resolve:whole", model_types=tuple(WHOLE))


@hookimpl
def graftwork_decoders():
    yield DecoderSpec("image:torchvision", "image", factory="graftwork_image.jpegs:build", devices=("cpu",))
    yield DecoderSpec(
        "image:nvjpeg", "image", factory="graftwork_image.jpegs:build", devices=("cuda",), default=("cuda",)
    )


@hookimpl
def graftwork_tasks():
    yield TaskSpec(
        "segment",
        factory="graftwork_image.segment.task:Segment",
        labels="a class for each pixel of the image",
        heads=("unet", "map-linear"),
        annotation="mask",
        modality="image",
    )
    yield TaskSpec(
        "detect",
        factory="graftwork_image.detect.task:Detect",
        labels="boxes in images, each with a name",
        heads=("fcos",),
        annotation="boxes",
        modality="image",
    )


@hookimpl
def graftwork_heads():
    yield HeadSpec("unet", factory="graftwork_image.segment.head:Unet", reads="pyramid", strides=(1, 4, 8, 16, 32))
    yield HeadSpec("fcos", factory="graftwork_image.detect.head:Fcos", reads="pyramid", strides=(8, 16, 32))


@hookimpl
def graftwork_annotations():
    yield AnnotationSpec(
        "coco",
        factory="graftwork_image.annotations.coco:CocoReader",
        kinds=("boxes", "mask"),
        modality="image",
        words="a COCO JSON file, or a folder with one beside its images or per split",
    )
    yield AnnotationSpec(
        "voc",
        factory="graftwork_image.annotations.voc:VocReader",
        kinds=("boxes", "mask"),
        modality="image",
        words="a Pascal VOC folder: Annotations/ with an XML file per image, or such files beside the images",
    )
    yield AnnotationSpec(
        "yolo",
        factory="graftwork_image.annotations.yolo:YoloReader",
        kinds=("boxes", "mask"),
        modality="image",
        words="a YOLO folder: images/ and labels/ with a text per image, or a text beside each image",
    )
    yield AnnotationSpec(
        "cvat",
        factory="graftwork_image.annotations.cvat:CvatReader",
        kinds=("boxes", "mask"),
        modality="image",
        words="an XML file of CVAT for images, or a folder with one beside its images",
    )
    yield AnnotationSpec(
        "label-studio-images",
        factory="graftwork_image.annotations.label_studio:LabelStudioImagesReader",
        kinds=("boxes", "mask"),
        modality="image",
        words="a JSON export of Label Studio, or a folder with one beside its images",
    )
    yield AnnotationSpec(
        "mask-images",
        factory="graftwork_image.annotations.mask_images:MaskImagesReader",
        kinds=("mask",),
        modality="image",
        words="a folder with images/ and masks/, whose files have the same names",
    )


@hookimpl
def graftwork_demos():
    yield Demo(
        "digits",
        modality="image",
        data="graftwork_image.demo:digits",
        baseline="graftwork_image.demo:pixels",
        baseline_name="pixels",
    )
    yield Demo(
        "boxes",
        modality="image",
        data="graftwork_image.shapes:boxes",
        baseline="",
        baseline_name="nothing",
        task="detect",
        settings={"batch_size": 4, "epochs": 16, "options": {"size": 256}},
    )
    yield Demo(
        "masks",
        modality="image",
        data="graftwork_image.shapes:masks",
        baseline="",
        baseline_name="majority_iou",
        task="segment",
        settings={"head": "map-linear", "options": {"size": 320}},
    )


RESNET = {"layer_type": "basic", "image_size": 64}
VIT = {"image_size": 64, "patch_size": 8}


@hookimpl
def graftwork_architectures():
    yield ArchitectureSpec(
        "resnet",
        modality="image",
        factory="graftwork_image.pretraining:resnet",
        sizes={
            "tiny": {**RESNET, "embedding_size": 32, "hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1]},
            "small": {**RESNET, "embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]},
        },
    )
    yield ArchitectureSpec(
        "vit",
        modality="image",
        factory="graftwork_image.pretraining:vit",
        sizes={
            "tiny": {
                **VIT, "hidden_size": 192, "num_hidden_layers": 6,
                "num_attention_heads": 3, "intermediate_size": 768,
            },
            "small": {
                **VIT, "hidden_size": 384, "num_hidden_layers": 8,
                "num_attention_heads": 6, "intermediate_size": 1536,
            },
        },
    )  # fmt: skip


@hookimpl
def graftwork_objectives():
    yield ObjectiveSpec(
        "mae",
        factory="graftwork_image.pretraining:HiddenPatches",
        summary="paint in hidden patches; no labels",
        architectures=("vit",),
        least={"image": 1_000.0},
        recipe=Recipe(
            learning_rate=1e-3, batch_size=64, epochs=20, weight_decay=0.05,
            source="He et al. 2022; the rate suits small batches",
        ),
    )  # fmt: skip
