"""A network is pretrained, kept in hub layout with its card, and taken up by a fit like any other."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2GumbelVectorQuantizer

import graftwork as gw
from graftwork.models.stages import State, fold
from graftwork.plugins import registry
from graftwork.pretraining.objectives import Distill, OfBackbone, resample_to
from graftwork_audio.pretraining import Contrastive, perplexity

from .conftest import FIELDS, MODALITY, melodies, tones

WAYS = [
    *((architecture, "supervised") for architecture in FIELDS),
    ("wav2vec2", "contrastive"), ("bert", "mlm"), ("vit", "mae"),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "objective"), WAYS)
def test_every_architecture_is_pretrained_and_used_by_a_fit(small, source, architecture, objective, tmp_path) -> None:
    made = small(architecture, objective, license="CC-BY-4.0")
    assert made.name == f"local:{tmp_path / 'model'}"
    card = json.loads((tmp_path / "model" / "graftwork.json").read_text())
    assert card == json.loads(json.dumps(made.card))
    assert (card["objective"], card["seed"], card["license"]) == (objective, 0, "CC-BY-4.0")
    assert card["architecture"] == f"{architecture}-tiny"
    spec = registry.backbone(made.name)
    assert card["contract"] == gw.load_backbone(spec).spec.contract.as_json()
    assert spec.license == "CC-BY-4.0"
    assert f"({objective})" in spec.pretrained_on
    assert len(card["figures"]["history"]) == 2
    run = gw.fit(source(MODALITY[architecture]), made.name)
    assert run.record["certificate"]["ok"]
    assert not (tmp_path / "model.unfinished").exists()


@pytest.mark.parametrize("architecture", FIELDS)
def test_the_weights_are_those_that_transformers_loads(small, architecture, tmp_path) -> None:
    from transformers import AutoModel

    made = small(architecture, "supervised")
    ours = gw.load_backbone(registry.backbone(made.name))
    theirs = AutoModel.from_pretrained(made.folder).eval()
    torch.manual_seed(0)
    batch = {
        "wav2vec2": torch.randn(2, 4_000), "bert": torch.randint(0, 20, (2, 9)), "vit": torch.randn(2, 3, 16, 16),
        "resnet": torch.randn(2, 3, 32, 32),
    }[architecture]  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(fold(ours.stages(), State(batch)).hidden, theirs(batch).last_hidden_state, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "objective"), [("bert", "mlm"), ("vit", "mae"), ("resnet", "supervised")]
)  # fmt: skip
def test_what_is_wanted_is_learned(small, architecture, objective) -> None:
    """The loss falls to well below that of the first epoch."""
    history = small(architecture, objective, lr=3e-3, epochs=25).card["figures"]["history"]
    least = {"mlm": 0.6, "mae": 0.98, "supervised": 0.3}[objective]
    assert history[-1]["loss"] < least * history[0]["loss"]


def test_masked_frames_are_told_from_others_where_what_is_around_them_says_which(small, tmp_path) -> None:
    fields = {"hidden_size": 32, "conv_dim": [16] * 6, "mask_time_prob": 0.3, "mask_time_length": 2}
    made = small("wav2vec2", "contrastive", data=melodies(tmp_path / "melodies"), fields=fields, lr=5e-3, epochs=15)
    history = made.card["figures"]["history"]
    assert history[-1]["contrastive"] < 0.6 * history[0]["contrastive"]


def test_the_same_seed_gives_the_same_weights_and_another_others(small, tmp_path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        small("wav2vec2", "supervised", name, seed=seed, augment=True)
    one, two, three = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two", "three"))
    assert all((one[name] == two[name]).all() for name in one)
    assert any((one[name] != three[name]).any() for name in one)


class Killed(Exception):
    """As a kill, for the code under test: nothing of it is caught."""


@pytest.mark.parametrize(("architecture", "objective"), [("bert", "mlm"), ("wav2vec2", "contrastive")])
def test_a_killed_run_goes_on_to_the_same_weights(small, architecture, objective, tmp_path, monkeypatch) -> None:
    small(architecture, objective, "whole", checkpoint_every=0.0)

    def kill(progress) -> None:
        if progress.step == 4:
            raise Killed

    with pytest.raises(Killed):
        small(architecture, objective, "killed", checkpoint_every=0.0, watch=kill)
    assert not (tmp_path / "killed").exists()
    with monkeypatch.context() as patch:
        patch.setattr("graftwork.pretraining.checks.amount", None)  # said before anything is read
        with pytest.raises(gw.RunError, match="A pretrain to '.*killed' was stopped before its end"):
            small(architecture, objective, "killed")
    with pytest.raises(gw.RunError, match="cannot go on: its seed was 0; now it is 1"):
        small(architecture, objective, "killed", seed=1, resume=True)
    other = {"text": "windows", "audio": "truncate"}[MODALITY[architecture]]
    with pytest.raises(gw.RunError, match="cannot go on: its long was '(truncate|windows)'; now it is"):
        small(architecture, objective, "killed", long=other, resume=True)
    steps = []
    small(architecture, objective, "killed", resume=True, watch=lambda progress: steps.append(progress.step))
    assert steps[0] in (4, 5)
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all((whole[name] == killed[name]).all() for name in whole)
    whole, killed = (json.loads((tmp_path / name / "graftwork.json").read_text()) for name in ("whole", "killed"))
    assert whole["figures"]["history"] == killed["figures"]["history"]


def test_half_of_the_bytes_are_enough(small) -> None:
    whole, half = small("wav2vec2", "supervised", "whole"), small("wav2vec2", "supervised", "half", half=True)
    sizes = [(made.folder / "model.safetensors").stat().st_size for made in (whole, half)]
    assert sizes[1] < 0.75 * sizes[0]
    stored = load_file(half.folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    for name, tensor in load_file(whole.folder / "model.safetensors").items():
        assert torch.equal(tensor.half(), stored[name])


def test_weights_that_float16_cannot_hold_are_not_lost(small, monkeypatch) -> None:
    own = OfBackbone.hub_state
    with monkeypatch.context() as patch:
        patch.setattr(OfBackbone, "hub_state", lambda objective: {n: t * 1e9 for n, t in own(objective).items()})
        with pytest.raises(
            gw.RunError, match=r"' has numbers beyond the largest of float16\. .*--resume, and no --half"
        ):
            small("wav2vec2", "supervised", "large", half=True)
    steps = []
    made = small("wav2vec2", "supervised", "large", resume=True, watch=steps.append)
    assert not steps
    assert load_file(made.folder / "model.safetensors")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), codes=st.integers(2, 6), masked=st.booleans())
def test_codes_in_use_are_counted_as_in_transformers(seed, codes, masked) -> None:
    chance = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(12, 2, codes, generator=chance).softmax(-1)
    mask = torch.rand(3, 4, generator=chance) < 0.6 if masked else None
    if mask is not None:
        mask[0, 0] = True
    theirs = Wav2Vec2GumbelVectorQuantizer._compute_perplexity(probabilities, mask)
    torch.testing.assert_close(perplexity(probabilities, mask), theirs, atol=1e-4, rtol=1e-4)


def test_codes_that_no_frame_takes_leave_numbers_finite(small, monkeypatch) -> None:
    own, step = Contrastive.__init__, Contrastive.loss
    found = []

    def far(objective, given) -> None:
        own(objective, given)
        objective.model.quantizer.weight_proj.weight.data *= 1e3

    def loss(objective, loaded, at):
        lost, figures = step(objective, loaded, at)
        if torch.is_grad_enabled():
            objective.zero_grad()
            lost.backward(retain_graph=True)
            found.extend(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)
            objective.zero_grad()
        return lost, figures

    monkeypatch.setattr(Contrastive, "__init__", far)
    monkeypatch.setattr(Contrastive, "loss", loss)
    small("wav2vec2", "contrastive")
    assert found
    assert all(found)


# Learning from another encoder.


@pytest.fixture
def teacher(small) -> str:
    return small("wav2vec2", "supervised", "teacher", seed=5).name


def test_a_student_says_what_its_teacher_says_and_asks_it_once(small, teacher, monkeypatch) -> None:
    from graftwork.features import activation_cache

    computed = []
    original = activation_cache.ActivationCache._compute

    def counted(self, groups, count):
        computed.append(count)
        return original(self, groups, count)

    monkeypatch.setattr(activation_cache.ActivationCache, "_compute", counted)
    options = {"teacher": teacher, "taps": ("block1", "last"), "lr": 1e-2, "epochs": 20}
    history = small("wav2vec2", "distill", **options).card["figures"]["history"]
    assert history[-1]["explained"] > 0.3 > history[0]["explained"]
    assert len(computed) == 1
    again = small("wav2vec2", "distill", "again", **options)
    assert again.card["figures"]["history"] == history
    assert len(computed) == 1
    assert again.card["teacher"]["name"] == teacher


def test_what_the_teacher_cannot_read_is_left_out_by_name(small, source, tmp_path) -> None:
    import soundfile

    wide = {"conv_kernel": [400, 3, 3, 3, 3, 2]}
    teacher = small("wav2vec2", "supervised", "teacher", fields=wide).name
    data = source("audio")
    samples, rate = soundfile.read(next(data.rglob("*.wav")))
    soundfile.write(data / "low" / "short.wav", samples[:640], rate)
    made = small("wav2vec2", "distill", teacher=teacher)
    assert made.card["data"]["examples"] == 24
    (said,) = [words for words in made.card["warnings"] if "short.wav" in words]
    assert "0.04 s" in said


def test_a_teacher_may_pool_more_than_its_states_and_read_shorter_clips(small, source) -> None:
    import soundfile

    starter = registry.backbone("audio/wav2vec2-tiny")
    assert starter.feature_dim != 320  # a state's 256 and 64 bands
    made = small("wav2vec2", "distill", teacher=starter.name, epochs=20, lr=1e-2)
    assert made.card["figures"]["history"][-1]["explained"] > 0.3
    data = source("audio")
    samples, rate = soundfile.read(next(data.rglob("*.wav")))
    soundfile.write(data / "low" / "long.wav", samples.repeat(5 * rate // len(samples) + 1), rate)
    with pytest.raises(
        gw.InputMismatch, match=r"the network reads .* 15.625 s, and '.*long\.wav' has 5.* s\."
    ) as caught:
        small("wav2vec2", "distill", "never", teacher=starter.name)
    assert caught.value.hint == "Cut the data to 4 s, or name another teacher."


@pytest.mark.parametrize(("architecture", "student"), [("resnet", "vit"), ("wav2vec2", "wav2vec2")])
def test_what_is_told_of_an_example_is_said_of_that_example(small, monkeypatch, architecture, student) -> None:
    teacher = small(architecture, "supervised", "teacher").name
    seen: set[int] = set()
    own = Distill.load

    def load(objective, numbers, epoch):
        batch, said = own(objective, numbers, epoch)
        for row, number in enumerate(batch.examples):
            with torch.no_grad():
                state = fold(objective.teacher.backbone.stages(), objective.teacher.examples.batch([number]).state)
                if architecture == "resnet":
                    state = State(objective.teacher.backbone.pool(state))
            there = said.hidden[row] if said.mask is None else said.hidden[row][said.mask[row]]
            torch.testing.assert_close(there.float(), state.hidden[0], atol=2e-3, rtol=2e-3)
        seen.update(batch.examples)
        return batch, said

    monkeypatch.setattr(Distill, "load", load)
    small(student, "distill", teacher=teacher)
    assert len(seen) == 24


def test_where_time_is_not_shared_pooled_features_are_told(small, source) -> None:
    teacher = small("resnet", "supervised", "teacher").name
    made = small("vit", "distill", teacher=teacher, epochs=30, lr=3e-3)
    assert made.card["figures"]["history"][-1]["explained"] > 0.3 > made.card["figures"]["history"][0]["explained"]


@settings(max_examples=50, deadline=None)
@given(both=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_states_drawn_to_other_frames(both, seed) -> None:
    theirs, ours = zip(*both, strict=True)
    frames = max(ours)
    generator = torch.Generator().manual_seed(seed)
    longest = max(theirs)
    mask = torch.arange(longest)[None] < torch.tensor(theirs)[:, None]
    hidden = torch.randn(len(theirs), longest, 3, generator=generator)
    to = State(torch.zeros(len(theirs), frames, 2), torch.arange(frames)[None] < torch.tensor(ours)[:, None])
    found = resample_to(State(hidden, mask), to).hidden
    # Padding is never looked at, and each row is as torch draws it alone.
    other = resample_to(State(hidden.masked_fill(~mask[..., None], 1e9), mask), to).hidden
    assert torch.equal(found, other)
    for row, (length, wanted) in enumerate(both):
        alone = torch.nn.functional.interpolate(hidden[row : row + 1, :length].transpose(1, 2), wanted, mode="linear")
        assert torch.allclose(found[row, :wanted], alone[0].T, atol=1e-5)


# What is refused.


def unlabelled(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in source.rglob("*.wav"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_what_cannot_be_is_refused_in_one_sentence(small, source, teacher, tmp_path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for words, error, architecture, objective, options in (
        ("The architecture 'bert' learns from text; .* holds audio", gw.InputMismatch, "bert", "mlm",
         {"data": source("audio")}),
        ("holds [0-9.]+ s of audio; the objective 'contrastive' wants at least 3 600 s", gw.DataError, "wav2vec2",
         "contrastive", {"allow_little": False}),
        ("holds 24 examples of images; the objective 'mae' wants at least 1,000 examples", gw.DataError, "vit", "mae",
         {"allow_little": False}),
        ("'distill' learns from an encoder, and none is named", gw.UsageError, "wav2vec2", "distill", {}),
        ("The objective 'mlm' has no teacher", gw.UsageError, "bert", "mlm", {"teacher": teacher}),
        ("The teacher 'text/minilm' reads text; the network reads audio", gw.InputMismatch, "wav2vec2", "distill",
         {"teacher": "text/minilm"}),
        ("was pretrained on sampling_rate 16 000 Hz; the network reads 8 000 Hz", gw.InputMismatch, "wav2vec2",
         "distill", {"teacher": teacher, "fields": {"sampling_rate": 8_000}}),
        ("The objective 'mlm' is for bert, not for 'vit'", gw.UsageError, "vit", "mlm", {}),
        ("no field 'hiden_size'; the nearest is 'hidden_size'", gw.UsageError, "vit", "mae",
         {"fields": {"hiden_size": 3}}),
        ("cannot be made of these fields", gw.UsageError, "bert", "mlm", {"fields": {"hidden_size": 15}}),
        ("pretrain takes no 'patience'", gw.UsageError, "bert", "mlm", {"patience": 2}),
        ("pretrain takes no 'accumulate'", gw.UsageError, "bert", "mlm", {"accumulate": 2}),
        ("already holds something", gw.RunError, "bert", "mlm", {"out": "full"}),
        ("There is no tap 'block9'", gw.UsageError, "wav2vec2", "distill", {"teacher": teacher, "taps": ("block9",)}),
        ("No objective is called 'mlmm'", gw.UnknownName, "bert", "mlmm", {}),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            small(architecture, objective, **options)
    for name, words in (
        ("wav2vec2-huge", "has no size 'huge'; its sizes are tiny, small"),
        ("wavvec", "No architecture is called 'wavvec'"),
    ):
        with pytest.raises((gw.UsageError, gw.UnknownName), match=words):
            gw.pretrain(source("audio"), name, "contrastive", tmp_path / "never")
    with pytest.raises(gw.DataError, match="without labels|no labels|label"):
        small("wav2vec2", "supervised", data=unlabelled(source("audio"), tmp_path / "flat"))
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".unfinished")]


def test_data_without_labels_are_enough_where_none_are_wanted(small, source, tmp_path) -> None:
    flat = unlabelled(source("audio"), tmp_path / "flat")
    assert small("wav2vec2", "contrastive", data=flat).card["data"]["examples"] == 24


# The card.


def test_a_folder_whose_card_or_weights_changed_is_refused(small, source) -> None:
    made = small("bert", "mlm")
    data = source("text")
    weights, card = made.folder / "model.safetensors", made.folder / "graftwork.json"
    whole, said = weights.read_bytes(), card.read_text()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(gw.WeightsMismatch, match="model.safetensors' is not the file that the card .* its SHA-256 is"):
        gw.fit(data, made.name)
    weights.write_bytes(whole)
    vocabulary = made.folder / "tokenizer.json"
    words = vocabulary.read_text()
    vocabulary.write_text(words.replace("parcel", "parcol"))
    with pytest.raises(gw.WeightsMismatch, match="tokenizer.json' is not the file"):
        gw.fit(data, made.name)
    vocabulary.write_text(words)
    card.write_text("{}")
    with pytest.raises(gw.DataError, match="is not a card of graftwork pretrain"):
        gw.fit(data, made.name)
    card.unlink()
    with pytest.raises(gw.DataError, match="its card, graftwork.json, is missing"):
        gw.fit(data, made.name)
    card.write_text(said)
    assert gw.fit(data, made.name).record["overlap"] == {"examples": 40, "of": 40}


def test_a_fit_says_how_many_of_its_examples_the_encoder_was_trained_on(small, source, tmp_path) -> None:
    made = small("wav2vec2", "supervised")
    target = tones(tmp_path / "target", seed=1)
    run = gw.fit(target, made.name)
    assert run.record["overlap"] == {"examples": 0, "of": 24}
    assert not any("flatter" in words for words in run.record["warnings"])
    seen = sorted(source("audio").rglob("*.wav"))[:3]
    for file in seen:
        (target / "low" / f"copy of {file.name}").write_bytes(file.read_bytes())
    run = gw.fit(target, made.name)
    assert run.record["overlap"] == {"examples": 3, "of": 27}
    (said,) = [words for words in run.record["warnings"] if "flatter" in words]
    assert said.startswith("3 of 27 files are among those that")


# Publishing.


def test_a_model_is_published_as_a_plugin_that_passes_the_kit(small, tmp_path, shell, preloaded) -> None:
    import os

    made = small("wav2vec2", "supervised", license="MIT")
    done = shell("new", "plugin", "my-sounds", "--weights", str(made.folder))
    assert done.returncode == 0, done.stderr
    place = tmp_path / "my-sounds"
    about = tmp_path / "site" / "my_sounds-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-sounds\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[graftwork]\nmy-sounds = my_sounds.plugin\n")
    path = os.pathsep.join([str(place / "src"), str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    words = ["-q", "-p", "no:cacheprovider", "tests"]
    done = preloaded("pytest", words, place, {**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stdout[-3000:]
    (made.folder / "graftwork.json").unlink()
    config = json.loads((made.folder / "config.json").read_text())
    del config["graftwork_card"]
    (made.folder / "config.json").write_text(json.dumps(config))
    for words, options in (
        ("has no card, graftwork.json", ("--weights", str(made.folder))),
        ("is begun with one of --modality, --brings and the --weights", ()),
        (
            "is begun with one of --modality, --brings and the --weights",
            ("--weights", str(made.folder), "--modality", "audio"),
        ),
    ):
        error = shell.json("new", "plugin", "other", *options, code=2)["error"]
        assert words in error["message"]


def test_a_published_spec_says_bounds_that_are_none(small, tmp_path, shell, monkeypatch) -> None:
    """A contract of images has facts without a lower or an upper bound."""
    made = small("resnet", "supervised")
    assert shell("new", "plugin", "my-pictures", "--weights", str(made.folder)).returncode == 0
    monkeypatch.syspath_prepend(str(tmp_path / "my-pictures" / "src"))
    (spec,) = importlib.import_module("my_pictures.plugin").graftwork_backbones()
    assert spec.contract == registry.backbone(made.name).contract


def test_the_command_line_pretrains(shell, source, tmp_path) -> None:
    data = source("text")
    fields = [word for name, value in FIELDS["bert"].items() for word in ("--set", f"{name}={value}")]
    words = ["pretrain", str(data), "--architecture", "bert-tiny", "--objective", "mlm", "--allow-little", *fields]
    found = shell.json(*words, "--epochs", "1", "--out", "model", "--license", "MIT", cold=True)
    assert found["name"] == "local:model"
    assert found["data"]["examples"] == 40
    assert Path(tmp_path, "model", "README.md").read_text().startswith("---\nlicense: MIT\n")
    shown = shell(*words, "--epochs", "1", "--out", "other")
    assert "bert-tiny, " in shown.stdout
    assert "Next: graftwork fit DATA --backbone local:other" in shown.stdout
    error = shell.json(*words, "--set", "wrong", "--out", "third", code=2)["error"]
    assert error["message"] == "--set wrong is not FIELD=VALUE."
