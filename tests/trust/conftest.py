"""Files that do harm when they are trusted: a pickle with a payload, and models whose folders bring code."""

from __future__ import annotations

import io
import json
import os
import pickle
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch


class Payload:
    """What makes a folder when it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.ran),)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A folder that is there when something ran that must not."""
    return tmp_path / "ran"


@pytest.fixture
def payloads(ran: Path) -> list[bytes]:
    """Files that run code when they are unpickled, shown to do so: as pickle writes them, and as torch.save does."""
    content, saved = {"weight": Payload(ran)}, io.BytesIO()
    torch.save(content, saved)
    pickled = pickle.dumps(content, protocol=2)
    torch.load(io.BytesIO(saved.getvalue()), weights_only=False)
    ran.rmdir()
    pickle.loads(pickled)  # noqa: S301
    ran.rmdir()
    return [pickled, saved.getvalue()]


@pytest.fixture
def tiny_electra(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """A text encoder that is loaded by transformers, as one stage."""
    from transformers import BertTokenizerFast, ElectraConfig, ElectraModel

    folder = tmp_path_factory.mktemp("tiny-electra")
    tokenizer = BertTokenizerFast.from_pretrained(tiny_bert)
    tokenizer.save_pretrained(folder)
    shape = {
        "hidden_size": 16,
        "embedding_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    ElectraModel(ElectraConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audio encoder whose layers are transformers'."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    folder = tmp_path_factory.mktemp("tiny-wav2vec2")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    convolutions = {"conv_dim": (8, 8), "conv_kernel": (10, 2), "conv_stride": (5, 2), "num_conv_pos_embeddings": 6}
    Wav2Vec2Model(Wav2Vec2Config(num_conv_pos_embedding_groups=2, **shape, **convolutions)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture
def code(ran: Path, tmp_path: Path) -> str:
    """A module that does harm when it is imported, shown to do so."""
    source = f"from pathlib import Path\nPath({str(ran)!r}).mkdir()\nclass Evil: pass\n"
    file = tmp_path / "trap.py"
    file.write_text(source)
    runpy.run_path(str(file))
    ran.rmdir()
    return source


@pytest.fixture
def with_code(code: str) -> Callable[[Path], Path]:
    """Give a model's folder code of its own, named by each of its config files as transformers' automatic classes take
    it."""

    def give(folder: Path) -> Path:
        for kind in ("modeling", "configuration", "tokenization", "feature_extraction"):
            (folder / f"{kind}_evil.py").write_text(code)
        classes = {
            "AutoConfig": "configuration_evil.Evil",
            "AutoModel": "modeling_evil.Evil",
            "AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"],
            "AutoFeatureExtractor": "feature_extraction_evil.Evil",
        }
        for file in folder.glob("*config.json"):
            said = json.loads(file.read_text())
            named = {
                "auto_map": classes,
                "architectures": ["Evil"],
                "tokenizer_class": "Evil",
                "feature_extractor_type": "Evil",
            }
            file.write_text(json.dumps({**said, **named}))
        return folder

    return give
