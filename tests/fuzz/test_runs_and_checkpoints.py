"""Damaged run folders and checkpoints: refused in a sentence of ours, or as they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graftwork as gw
from graftwork.errors import GraftworkError
from graftwork.runs import integrity
from graftwork.training.checkpoints import Unfinished
from tests.fuzz.conftest import damaged, tries

TEXTS = ["where is my parcel", "my card is gone"]
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.just([None]), st.just({"": None}), st.just(10**30),
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "m.csv").write_text(
        "text,label\n" + "".join(f"parcel {n},delivery\nmy card {n},card\n" for n in range(8))
    )
    gw.fit(folder / "m.csv", "text/glove-50d-idf", out=folder / "run", cache=False)
    return folder / "run"


@pytest.fixture(scope="module")
def answers(saved: Path) -> list[dict[str, Any]]:
    return gw.load(saved).predict(TEXTS)


@pytest.mark.parametrize("name", ["run.json", "head.safetensors"])
@tries(30)
@given(data=st.data())
def test_a_run_whose_bytes_changed_answers_as_before_or_not_at_all(
    saved, answers, tmp_path_factory, name, data
) -> None:
    folder = shutil.copytree(saved, tmp_path_factory.mktemp("run") / "run")
    (folder / name).write_bytes(data.draw(damaged((saved / name).read_bytes())))
    with suppress(GraftworkError):
        assert gw.load(folder).predict(TEXTS) == answers
    shutil.rmtree(folder.parent)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([here] if here else []), *(one for key, item in inner for one in places(item, (*here, key)))]


@tries(60)
@given(data=st.data())
def test_a_record_with_odd_values_and_right_digests_ends_in_a_sentence(saved, tmp_path_factory, data) -> None:
    record = json.loads((saved / "run.json").read_text(encoding="utf-8"))
    *way, last = data.draw(st.sampled_from(places(record)))
    inner = record
    for step in way:
        inner = inner[step]
    if data.draw(st.booleans()):
        inner[last] = data.draw(ODD)
    else:
        del inner[last]
    folder = shutil.copytree(saved, tmp_path_factory.mktemp("run") / "run")
    sealed = integrity.sealed(record, gw.load(saved)._head.state_dict())
    (folder / "run.json").write_text(json.dumps(sealed), encoding="utf-8")
    with suppress(GraftworkError):
        gw.load(folder).predict(TEXTS)
    shutil.rmtree(folder.parent)


REQUEST = {"seed": 0, "freeze": "all"}


def checkpoints(folder: Path) -> Unfinished:
    made = Unfinished(folder / "run", REQUEST)
    made.folder.mkdir()
    for step in (1, 2):
        made.save(step, {"step": step}, {"now/a": torch.arange(12.0) + step, "best/b": torch.zeros(3, 2)})
    return made


@tries(60)
@given(data=st.data())
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path_factory, data) -> None:
    made = checkpoints(tmp_path_factory.mktemp("fit"))
    newest = made.folder / "step-00000002.safetensors"
    content = newest.read_bytes()
    newest.write_bytes(changed := data.draw(damaged(content)))
    found = made.last()
    assert found is not None
    step = found.state["step"]
    assert step == 2 or (step == 1 and "step-00000002.safetensors" in made.notes[0])
    assert torch.equal(found.tensors["now/a"], torch.arange(12.0) + step)
    if changed == content:
        assert step == 2
    shutil.rmtree(made.folder)


@pytest.mark.parametrize("from_the_end", [1, 12, 24, 25, 48, 72])
def test_one_flipped_bit_of_any_tensor_is_seen(tmp_path, from_the_end: int) -> None:
    """The tensors lie at the end of the file: 24 bytes of one, 48 of the other."""
    made = checkpoints(tmp_path)
    newest = made.folder / "step-00000002.safetensors"
    content = bytearray(newest.read_bytes())
    content[-from_the_end] ^= 1
    newest.write_bytes(content)
    found = made.last()
    assert found is not None
    assert found.state["step"] == 1
    assert "' changed)" in made.notes[0]


@pytest.mark.parametrize("lost", ["now/a", "best/b"])
def test_a_checkpoint_with_fewer_tensors_is_passed_over(tmp_path, lost: str) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    made = checkpoints(tmp_path)
    newest = made.folder / "step-00000002.safetensors"
    with safe_open(newest, "pt") as file:
        about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys() if name != lost}  # noqa: SIM118
    save_file(tensors, newest, metadata=about)
    found = made.last()
    assert found is not None
    assert found.state["step"] == 1
    assert f"as '{lost}'" in made.notes[0]


def test_a_checkpoint_of_another_request_is_passed_over(tmp_path) -> None:
    made = checkpoints(tmp_path)
    other = Unfinished(tmp_path / "run", {**REQUEST, "seed": 1})
    assert other.last() is None
    assert all("it is of another fit" in note for note in other.notes)
    assert made.last() is not None


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    "labels in another order": lambda record: record["targets"]["names"].reverse(),
    "another tap": lambda record: record.update(tap="words"),
    "an emptied certificate": lambda record: record["certificate"].update(stages={}),
    "a better figure": lambda record: record["metrics"].update(accuracy=1.0, macro_f1=0.999),
    "a temperature": lambda record: record["targets"].update(temperature=9.0),
    "another task": lambda record: record.update(task="multilabel"),
    "no digest": lambda record: record.pop("integrity"),
    "a digest that is none": lambda record: record.update(integrity=7),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_run_says_is_bound_to_its_head(saved, tmp_path, name) -> None:
    folder = shutil.copytree(saved, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    CHANGES[name](record)
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(GraftworkError, match="is damaged: run.json"):
        gw.load(folder)


def test_the_head_of_another_run_is_refused(saved, tmp_path) -> None:
    (tmp_path / "o.csv").write_text("text,label\n" + "".join(f"parcel {n},delivery\ncard {n},card\n" for n in range(9)))
    gw.fit(tmp_path / "o.csv", "text/glove-50d-idf", out=tmp_path / "other", cache=False)
    folder = shutil.copytree(saved, tmp_path / "run")
    shutil.copy(tmp_path / "other" / "head.safetensors", folder)
    with pytest.raises(GraftworkError, match=r"head\.safetensors is not the head that it was written with"):
        gw.load(folder)


def test_a_head_that_is_not_finite_is_refused_by_name(saved, tmp_path) -> None:
    run = gw.load(saved)
    with torch.no_grad():
        next(run._head.parameters())[0, 0] = float("nan")
    with pytest.raises(GraftworkError, match=r"of its head holds numbers that are not finite"):
        gw.load(run.save(tmp_path / "run"))
