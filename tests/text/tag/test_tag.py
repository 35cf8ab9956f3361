"""`tag`: spans of texts, from a file of words and tags to answers in the characters of a new text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork import Span, Spans
from graftwork.tasks.task import load_task

NAMES = ["card", "parcel", "order", "money"]
OTHERS = ["where", "is", "my", "the", "please", "help", "back", "i"]


def written(path: Path, count: int, seed: int = 0) -> Path:
    """Texts of which NAMES are things, and 'lost NAME' a loss of two words."""
    rng, lines = random.Random(seed), []
    for _ in range(count):
        for _ in range(rng.randint(2, 4)):
            lines.append(f"{rng.choice(OTHERS)}\tO")
        if rng.random() < 0.5:
            lines += ["lost\tB-loss", f"{rng.choice(NAMES)}\tI-loss"]
        else:
            lines.append(f"{rng.choice(NAMES)}\tB-thing")
        lines += [f"{rng.choice(OTHERS)}\tO", ""]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> gw.Run:
    """A run that knows things and losses."""
    file = written(tmp_path_factory.mktemp("learned") / "all.conll", 80)
    return gw.fit(
        file, f"local:{tiny_bert}", task="tag", freeze="all", lr=3e-3, head_lr=1e-2, epochs=15, patience=0, cache=False
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "entities"
    folder.mkdir()
    written(folder / "train.conll", 60)
    written(folder / "validation.conll", 20, seed=1)
    return folder


@pytest.fixture
def backbone(tiny_bert: Path) -> str:
    return f"local:{tiny_bert}"


def test_entities_are_found_in_new_texts_by_their_characters(learned, tmp_path) -> None:
    assert learned.metrics["f1"] > 0.85
    learned.save(tmp_path / "run")
    text = "please  help: i lost card, where is the parcel"
    (answer,) = gw.load(tmp_path / "run").predict([text])
    assert [(one["text"], one["label"]) for one in answer["entities"]] == [("lost card", "loss"), ("parcel", "thing")]
    for one in answer["entities"]:
        assert text[one["start"] : one["end"]] == one["text"]
        assert 0.2 < one["probability"] <= 1
    assert learned.record["labels"]["thing"]["train"] > 10


def test_a_frozen_encoder_has_its_head_solved_and_nothing_moves(data, backbone) -> None:
    run = gw.fit(data, backbone, task="tag")
    assert run.record["trained_by"] == "exact"
    assert run.record["certificate"]["ok"]
    assert run.record["certificate"]["moved"] == []
    assert run.metrics["f1"] > run.metrics["nothing"]
    again = gw.fit(data, backbone, task="tag")
    assert again.metrics == run.metrics
    assert again.record["training"]["states"]["hits"] == 80, "what is frozen is computed once"


def words_f1(outputs: torch.Tensor, targets: torch.Tensor, lowered: float) -> float:
    found = torch.cat([outputs[:, :1] - lowered, outputs[:, 1:]], 1).argmax(1)
    right = int(((found == targets) & (targets > 0)).sum())
    return 2 * right / max(1, int((found > 0).sum() + (targets > 0).sum()))


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 2))
def test_o_is_lowered_to_where_words_have_the_highest_f1(seed, count, names) -> None:
    numbers = torch.Generator().manual_seed(seed)
    outputs = torch.randn(count, 1 + 2 * names, generator=numbers)
    targets = torch.randint(0, 1 + 2 * names, (count,), generator=numbers)
    task = load_task("tag")
    lowered = task.calibrate(outputs, targets, gw.Targets(("a", "b")[:names], targets)).learned["outside"]
    assert lowered >= 0
    behind = (outputs[:, 0] - outputs[:, 1:].amax(1)).tolist()
    tried = [0.0, *(one + 1e-4 for one in behind if one > 0)]
    assert words_f1(outputs, targets, lowered) >= max(words_f1(outputs, targets, one) for one in tried) - 1e-6


def test_a_solved_head_finds_entities_where_they_are_rare(tmp_path, tiny_bert) -> None:
    """One word in twenty is one, and what it is cannot be told from it alone."""
    rng, lines = random.Random(0), []
    for _ in range(60):
        words = [(rng.choice(OTHERS), "O") for _ in range(19)]
        words.append((rng.choice(NAMES[:2]), "B-thing" if rng.random() < 0.4 else "O"))
        rng.shuffle(words)
        lines += [f"{word} {tag}" for word, tag in words] + [""]
    (tmp_path / "rare.conll").write_text("\n".join(lines))
    run = gw.fit(tmp_path / "rare.conll", f"local:{tiny_bert}", task="tag")
    assert run.targets.learned["outside"] > 0
    assert run.metrics["recall"] > 0.5
    run.save(tmp_path / "run")
    assert gw.load(tmp_path / "run").evaluate(tmp_path / "rare.conll")["metrics"]["recall"] > 0.5


def test_evaluate_gives_the_figures_of_the_fit(data, backbone) -> None:
    run = gw.fit(data, backbone, task="tag", freeze="all", epochs=3, refit=None, lr=1e-3, precision="fp32")
    only = data.parent / "only.conll"
    only.write_bytes((data / "validation.conll").read_bytes())
    found = run.evaluate(gw.data(only, task="tag"))
    assert found["metrics"] == {name: value for name, value in run.metrics.items() if name != "test"}
    assert found["n"] == 20


def test_a_long_text_is_read_in_windows_that_are_joined(learned) -> None:
    text = " ".join(["please help my parcel back"] * 40)
    (answer,) = learned.predict([text])
    assert [one["start"] for one in answer["entities"]] == [
        place for place in range(len(text)) if text.startswith("parcel", place)
    ]


def test_spans_are_those_of_the_text_as_it_was_given(learned) -> None:
    text = "u\u0308ber my parcel"  # an accent by itself, which is composed before it is read
    (answer,) = learned.predict([text])
    assert [(one["start"], one["text"]) for one in answer["entities"]] == [(9, "parcel")]


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ((Span(0, 6, "a"), Span(4, 9, "b")), "The spans 0 to 6 ('a') and 4 to 9 ('b') of one text overlap"),
        ((Span(5, 5, "a"),), "The span 5 to 5 ('a') holds no character"),
        ((Span(7, 3, "a"),), "The span 7 to 3 ('a') holds no character"),
    ],
)
def test_spans_that_cannot_be_learned_are_refused(spans, said) -> None:
    from graftwork.tasks.task import load_task

    with pytest.raises(gw.DataError) as refused:
        load_task("tag").encode([Spans(spans), Spans()])
    assert said in refused.value.message
    assert "check" in refused.value.hint


def test_other_labels_are_refused_and_what_is_accepted_is_said(messages, backbone) -> None:
    with pytest.raises(gw.DataError, match="accepted is a list of {start, end, label}"):
        gw.fit(messages, backbone, task="tag")


def test_texts_without_any_span_are_refused(tmp_path, backbone) -> None:
    file = tmp_path / "none.conll"
    file.write_text("\n\n".join("where O\nis O" for _ in range(10)) + "\n")
    with pytest.raises(gw.DataError, match="None of the 10 texts has a span"):
        gw.fit(file, backbone, task="tag")


def test_a_label_that_training_lacks_is_refused(data, backbone) -> None:
    file = data / "validation.conll"
    file.write_text(file.read_text() + "where O\nhelp B-place\n\n")
    with pytest.raises(gw.DataError, match="The validation split has the label 'place', which no training example has"):
        gw.fit(data, backbone, task="tag")


def test_an_encoder_without_the_view_is_refused_with_those_that_have_it(data, plugins, tiny_bert) -> None:
    from types import SimpleNamespace

    import graftwork_text.plugin

    def graftwork_backbones():
        for name, views in (("text/one", ("pooled",)), ("text/two", ("pooled", "sequence"))):
            yield gw.BackboneSpec(
                name, gw.InputContract("text", {}, {}), "none:none", gw.FolderWeights(tiny_bert), ("all",), 4, 0, "", "", "", views=views
            )  # fmt: skip

    graftwork_backbones = gw.hookimpl(graftwork_backbones)
    plugins(
        SimpleNamespace(api_version=1, graftwork_backbones=graftwork_backbones, __name__="two"), graftwork_text.plugin
    )
    with pytest.raises(
        gw.UsageError,
        match="reads the view 'sequence' of an encoder; 'text/one' gives pooled; of those installed .*text/two",
    ) as refused:
        gw.fit(data, "text/one", task="tag")
    assert "backbones" in refused.value.hint


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tap": "all"}, "--tap all is for tasks with one answer per example"),
        ({"compile": True}, "--compile is for tasks with one answer per example"),
        ({"long": "windows"}, "--long is for tasks with one answer per example"),
        ({"head": "linear"}, "The task 'tag' has no head 'linear'; it has sequence-linear"),
        ({"options": {"size": 3}}, "The task 'tag' has no option 'size'; it has none"),
    ],
)
def test_what_the_task_has_no_use_for_is_refused(data, backbone, asked, said) -> None:
    with pytest.raises(gw.UsageError) as refused:
        gw.fit(data, backbone, task="tag", **asked)
    assert said in refused.value.message


def test_a_training_step_sees_the_words_that_a_span_holds() -> None:
    from graftwork_text.tag.words import Moved, words_of

    task = load_task("tag")
    known = task.encode([Spans((Span(0, 1, "x"),)), Spans((Span(0, 1, "y"),))])
    text = "ab cd-ef gh"
    found = task._classes(Spans((Span(3, 8, "y"), Span(9, 11, "x"))), words_of(text), Moved(text, text), known)
    assert found == [0, 3, 4, 4, 1]
    assert task.encode([Spans()], known).values.shape == torch.Size([1])


def test_answers_go_into_a_folder_that_other_tools_and_we_read(learned, tmp_path, shell) -> None:
    learned.save(tmp_path / "run")
    found = shell(
        "predict", str(tmp_path / "run"), "please help my parcel", "i lost my card", "--out", str(tmp_path / "out")
    )
    assert found.returncode == 0, found.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["entities.conll", "entities.jsonl"]
    read = gw.data(tmp_path / "out/entities.conll", task="tag")
    assert [len(label.spans) for label in read.labels] == [1, 1]
    assert learned.write_answers(["please help my parcel", "i lost my card"], tmp_path / "ours") == tmp_path / "ours"
    for name in ("entities.conll", "entities.jsonl"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    with pytest.raises(gw.UsageError, match="is there already"):
        learned.write_answers(["please"], tmp_path / "ours")
    again = shell("predict", str(tmp_path / "run"), "please", "--out", str(tmp_path / "out"))
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_the_report_shows_the_worst_texts_with_what_is_true_and_what_was_found(learned, tmp_path) -> None:
    learned.save(tmp_path / "run")
    page = (tmp_path / "run/report.html").read_text()
    assert "Validation examples, the worst first." in page
    assert page.count('<dl class="texts">') == 12
    assert "<small>thing</small>" in page
    assert "Figures by label" in page


def test_augmentation_that_would_change_nothing_is_refused(data, backbone) -> None:
    with pytest.raises(gw.UsageError) as refused:
        gw.fit(data, backbone, task="tag", freeze="all", augment=True)
    assert (
        str(refused.value) == "--augment changes nothing: the task 'tag' shows its examples as they are. Leave it out."
    )
