"""Steps that are replayed: the same numbers as steps that are run, by a recorder that stands in for a GPU's."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import graftwork as gw
from graftwork.training import loop, step_graphs
from graftwork.training.step_graphs import Inputs, StepGraphs


class Recorder:
    """Does the work again on the tensors that were recorded, as a graph does."""

    def __init__(self) -> None:
        self.recorded, self.replayed = 0, 0

    def __call__(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1

        def replay() -> Tensor:
            self.replayed += 1
            return work()

        return replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(loop, "StepGraphs", lambda: StepGraphs(made))
    monkeypatch.setattr(loop.TrainingLoop, "_replays", lambda _: True)
    # Dropout draws its numbers on the processor here, and on the GPU there.
    monkeypatch.setattr(step_graphs, "_chance", lambda: (0, b"", b""))
    return made


def losses(graphs: StepGraphs, work: Callable[[Inputs], Tensor]) -> list[float]:
    rows = (2, 3, 2, 2, 3, 3, 2)
    return [float(graphs(work, (torch.full((count, 4), float(place)), None))) for place, count in enumerate(rows)]


def mean(inputs: Inputs) -> Tensor:
    assert inputs[0] is not None
    return inputs[0].mean()


def test_a_shape_is_recorded_when_it_comes_again_and_then_replayed_for_what_is_given() -> None:
    recorder = Recorder()
    assert losses(StepGraphs(recorder), mean) == [0, 1, 2, 3, 4, 5, 6]
    assert (recorder.recorded, recorder.replayed) == (2, 5)


def test_what_chance_decides_on_the_processor_is_never_replayed() -> None:
    recorder = Recorder()

    def layer_drop(inputs: Inputs) -> Tensor:
        random.random()
        return mean(inputs)

    assert losses(StepGraphs(recorder), layer_drop) == [0, 1, 2, 3, 4, 5, 6]
    assert recorder.recorded == 0


def test_what_cannot_be_recorded_is_run() -> None:
    def refuse(_: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")

    assert losses(StepGraphs(refuse), mean) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("freeze", ["all", "last:1", "lpft"])
def test_replayed_steps_give_the_same_weights(messages, tiny_bert, recorder, monkeypatch, freeze, tmp_path) -> None:
    said = {"freeze": freeze, "epochs": 3, "batch_size": 4, "device": "cpu", "patience": 0, "lr": 1e-3}
    replayed = gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "replayed", **said)
    assert recorder.replayed > 0
    monkeypatch.setattr(loop.TrainingLoop, "_replays", lambda _: False)
    run = gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run", **said)
    assert replayed.record["training"]["history"] == run.record["training"]["history"]
    heads = [load_file(tmp_path / name / "head.safetensors") for name in ("run", "replayed")]
    assert all(torch.equal(tensor, heads[1][name]) for name, tensor in heads[0].items())


def test_an_encoder_that_does_not_say_so_is_not_replayed(
    messages: Path, tiny_bert: Path, recorder, monkeypatch
) -> None:
    from graftwork_text.tokens import TextEncoder

    monkeypatch.setattr(TextEncoder, "replayable", False)
    gw.fit(messages, f"local:{tiny_bert}", freeze="all", epochs=2, batch_size=4, device="cpu", patience=0)
    assert recorder.recorded == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_replays_dropout_with_the_numbers_of_each_step() -> None:
    layer = nn.Dropout(0.5)

    def kept(inputs: Inputs) -> Tensor:
        assert inputs[0] is not None
        return layer(inputs[0]).sum()

    with torch.cuda.stream(torch.cuda.Stream()):
        graphs, ones = StepGraphs(), torch.ones(1000, device="cuda")
        found = []
        for seed in (1, 2, 3, 4):
            torch.manual_seed(seed)
            found.append(float(graphs(kept, (ones,))))
            torch.manual_seed(seed)
            assert float(kept((ones,))) == found[-1]
        assert len(set(found)) > 1
