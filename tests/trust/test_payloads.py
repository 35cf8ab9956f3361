"""Wherever weights, runs or features are read, a pickle that would run code is refused in a sentence, and nothing runs."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import graftwork as gw
from graftwork import GraftworkError, Weights, WeightsMismatch
from graftwork.features.store import Store
from graftwork.plugins import registry
from graftwork.sklearn import TransferClassifier
from graftwork.training.checkpoints import Unfinished


@dataclasses.dataclass(frozen=True)
class At(Weights):
    """A file that lies where a download would have put it."""

    path: Path
    size_bytes: int = 0

    def find(self) -> Path:
        return self.path

    def describe(self) -> str:
        return f"'{self.path.name}'"

    def remedy(self) -> str:
        return "Fetch it again."


def refusal(act: Callable[[], object], ran: Path) -> str:
    """The sentence that `act` is answered with; nothing has run then."""
    with pytest.raises(GraftworkError) as caught:
        act()
    assert not ran.exists()
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert "weights_only" not in caught.value.message  # torch advises to run what is in the file
    return caught.value.message


@pytest.mark.parametrize("name", ["image/resnet18", "image/efficientnet-lite0"])
def test_a_pth_file(name, payloads, ran, tmp_path) -> None:
    file = tmp_path / "weights.pth"
    spec = dataclasses.replace(registry.backbone(name), weights=At(file))
    for content in payloads:
        file.write_bytes(content)
        said = refusal(lambda: gw.load_backbone(spec), ran)
        assert f"'{file}'" in said
        assert "it holds code (posix.mkdir), which is never run" in said


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_electra", "tiny_wav2vec2"])
def test_a_folder_in_hub_layout(model, file, payloads, ran, tmp_path, request) -> None:
    folder = shutil.copytree(request.getfixturevalue(model), tmp_path / "model")
    described = registry.backbone(f"local:{folder}")
    (folder / "model.safetensors").unlink()
    for content in payloads:
        (folder / file).write_bytes(content)
        for spec in (lambda: described, lambda: registry.backbone(f"local:{folder}")):
            said = refusal(lambda spec=spec: gw.load_backbone(spec()), ran)
            assert str(folder) in said
            assert ("it holds code (posix.mkdir)" in said) == (file.endswith(".bin") and model != "tiny_bert"), said


def test_what_is_no_state_dict_is_not_taken_for_one(tmp_path) -> None:
    file = tmp_path / "weights.pth"
    for content in ([torch.zeros(1)], {"step": 3}):
        torch.save(content, file)
        with pytest.raises(WeightsMismatch) as caught:
            gw.load_tensors(file)
        assert (
            caught.value.message == f"'{file}' cannot be read as weights: it holds something else than tensors by name."
        )
    torch.save({"weight": torch.ones(2)}, file)
    assert gw.load_tensors(file)["weight"].tolist() == [1, 1]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsMismatch, match="cannot be read as weights: "):
        gw.load_tensors(file)


@pytest.fixture
def run(messages, tiny_bert, tmp_path) -> Path:
    """A run of which stages were trained, so that it holds every kind of file; of a classifier too."""
    options = {"epochs": 1, "batch_size": 8}
    texts, labels = zip(*(line.split(",") for line in messages.read_text().splitlines()[1:]), strict=True)
    made = TransferClassifier(f"local:{tiny_bert}", freeze="last:1", training=options).fit(texts, labels)
    return made.save(tmp_path / "run")


@pytest.mark.parametrize("file", ["head.safetensors", "backbone.safetensors", "run.json", "estimator.json"])
def test_a_file_of_a_run(run, file, payloads, ran) -> None:
    for content in payloads:
        (run / file).write_bytes(content)

        def use() -> None:
            TransferClassifier.load(run).predict(["where is my card"])

        refusal(use, ran)


def test_a_checkpoint(payloads, ran, tmp_path) -> None:
    unfinished = Unfinished(tmp_path / "run", {})
    unfinished.folder.mkdir()
    for step, content in enumerate(payloads, start=1):
        (unfinished.folder / f"step-0000000{step}.safetensors").write_bytes(content)
    assert unfinished.last() is None
    assert [note.split(" (")[0] for note in unfinished.notes] == [
        "The checkpoint 'step-00000002.safetensors' is damaged",
        "The checkpoint 'step-00000001.safetensors' is damaged",
    ]
    (unfinished.folder / "request.json").write_bytes(payloads[0])
    assert (
        refusal(unfinished.check, ran) == f"The fit in '{unfinished.folder}' cannot go on: 'request.json' is damaged."
    )


def test_the_feature_store(messages, tiny_bert, payloads, ran, own_store) -> None:
    fresh = gw.fit(messages, f"local:{tiny_bert}").record
    (shard,) = (own_store / "shards").iterdir()
    shard.write_bytes(payloads[0] * (1 + shard.stat().st_size // len(payloads[0])))
    again = gw.fit(messages, f"local:{tiny_bert}").record
    assert again["metrics"] == fresh["metrics"]
    (own_store / "index.sqlite").write_bytes(payloads[0] * 200)
    for more in own_store.glob("index.sqlite-*"):
        more.unlink()
    assert gw.fit(messages, f"local:{tiny_bert}").record["metrics"] == fresh["metrics"]
    with Store(own_store) as store:
        assert store.verify()["bad"] == 0
    assert not ran.exists()
