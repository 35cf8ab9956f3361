"""Clips of frames as GIFs and as folders, beside the image plugin: a modality whose files another one reads too, and whose
examples are more than a file, by public names alone."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import graftwork as gw
import graftwork_image.plugin
from graftwork.cli import app
from graftwork.plugins import loading
from graftwork.testing import Nonconformance, NotChecked, cases

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the plugin is installed, with weights."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(HERE / "clips", folder / "clips", ignore=shutil.ignore_patterns("__pycache__"))
    about = folder / "clips-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: clips\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[graftwork]\nclips = clips.plugin\n")
    sys.path.insert(0, str(folder))
    plugin, model = (importlib.import_module(f"clips.{name}") for name in ("plugin", "model"))
    torch.manual_seed(0)
    save_file(
        model.build(next(plugin.graftwork_backbones()), None).state_dict(), folder / "clips" / "weights.safetensors"
    )
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "clips"]:
        del sys.modules[name]


@pytest.fixture
def clips(site: Path, plugins: Any) -> Any:
    """The plugin and that of images, beside the core."""
    plugin = importlib.import_module("clips.plugin")
    plugins(plugin, graftwork_image.plugin)
    return plugin


def frames(label: str, number: int) -> list[Image.Image]:
    """Five frames that become lighter, or darker."""
    rng = np.random.default_rng(number)
    levels = range(20, 220, 40) if label == "up" else range(200, 0, -40)
    return [Image.fromarray((level + rng.integers(0, 30, (16, 16))).astype(np.uint8)) for level in levels]


def as_folder(place: Path, pictures: list[Image.Image]) -> Path:
    place.mkdir(parents=True)
    for number, picture in enumerate(pictures, 8):  # 10 comes after 9
        picture.save(place / f"frame{number}.png")
    return place


def as_gif(place: Path, pictures: list[Image.Image]) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(place, "GIF", save_all=True, append_images=pictures[1:])
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """20 clips under two labels, half of them folders."""
    for label in ("up", "down"):
        for number in range(5):
            as_gif(tmp_path / "data" / label / f"{number}.gif", frames(label, number))
            as_folder(tmp_path / "data" / label / f"walk.{number}", frames(label, 10 + number))
    return tmp_path / "data"


def run(capsys: Any, *command: Any) -> tuple[int, Any]:
    code = app._run([*map(str, command), "--json"], json=True)
    return code, json.loads(capsys.readouterr().out)


def test_the_kit_is_green(site, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    loading.use(loading.discover("clips"))
    try:
        failed = {}
        for case in cases("clips"):
            try:
                case()
            except NotChecked:
                continue
            except Nonconformance as error:
                failed[case.name] = str(error)
        assert failed == {}
    finally:
        loading.use(None)


def test_fit_check_evaluate_and_predict_from_the_command_line(clips, data, tmp_path, capsys) -> None:
    code, checked = run(capsys, "check", data, "--modality", "clip")
    assert (code, checked["observed"]["count"], checked["labels"]) == (0, 20, {"down": 10, "up": 10})
    assert checked["problems"] == []
    code, fitted = run(capsys, "fit", data, "--backbone", "clip/motion", "--out", tmp_path / "run")
    assert code == 0, fitted
    assert (fitted["modality"], fitted["n_train"] + fitted["n_val"], fitted["data"]["left_out"]) == ("clip", 20, [])
    # A run remembers: no word of a modality is needed any more.
    code, judged = run(capsys, "evaluate", tmp_path / "run", data)
    assert (code, judged["n"], judged["metrics"]["accuracy"]) == (0, 20, 1.0)
    code, answers = run(
        capsys, "predict", tmp_path / "run", data / "up", data / "down" / "walk.0", data / "up" / "0.gif"
    )
    assert code == 0
    assert [Path(one["input"]).name for one in answers] == [
        "0.gif", "1.gif", "2.gif", "3.gif", "4.gif", "walk.0", "walk.1", "walk.2", "walk.3", "walk.4", "walk.0", "0.gif",
    ]  # fmt: skip
    assert [one["label"] for one in answers] == ["up"] * 10 + ["down", "up"]


def said(capsys: Any, *command: Any) -> str:
    """The sentence and the hint of a command that cannot be met."""
    code, answer = run(capsys, *command)
    assert code == 2, answer
    return f"{answer['error']['message']} {answer['error']['hint']}"


def test_files_that_two_modalities_read_need_a_word(clips, data, photos, tmp_path, capsys) -> None:
    sentence = said(capsys, "fit", data, "--out", tmp_path / "run")
    assert "Two modalities read the files of folder" in sentence
    assert "clip (clips of frames) and image (images)" in sentence
    assert "--modality clip or --modality image" in sentence
    assert gw.data(data, modality="clip").modality.name == "clip"
    stills = gw.data(data, modality="image")  # each frame of a folder is a picture then
    assert (stills.modality.name, len(stills)) == ("image", 10 + 10 * 5)
    with pytest.raises(
        gw.UsageError, match=r"--modality clip was named; folder '.*' holds images \(image\)\. Leave out"
    ):
        gw.data(photos, modality="clip")
    assert "No modality is called 'clips'; the nearest is clip" in said(capsys, "check", data, "--modality", "clips")


def test_pictures_with_a_few_gifs_among_them_stay_pictures(clips, data, photos) -> None:
    for number in range(2):
        shutil.copy(data / "up" / f"{number}.gif", photos / "dark")
    found = gw.data(photos)
    assert (found.modality.name, len(found)) == ("image", 14)


def test_frames_right_in_the_folders_of_labels_are_pictures_unless_clips_are_asked_for(clips, tmp_path, capsys) -> None:
    for label in ("up", "down"):
        as_folder(tmp_path / "flat" / label, frames(label, 0))
        as_folder(tmp_path / "split" / "train" / label, frames(label, 0))
    for place in ("flat", "split"):
        assert gw.data(tmp_path / place).modality.name == "image"
    sentence = said(capsys, "fit", tmp_path / "flat", "--backbone", "clip/motion", "--out", tmp_path / "run")
    assert "down' is an example itself (it holds .png, .jpg files) to the modality 'clip'" in sentence
    assert f"{tmp_path}/flat/LABEL/EXAMPLE/FILE" in sentence


def test_an_example_among_the_folders_of_labels_is_refused(clips, data, capsys) -> None:
    as_folder(data / "sideways", frames("up", 0))
    sentence = said(capsys, "check", data, "--modality", "clip")
    assert f"'{data}/sideways' is an example itself" in sentence
    assert f"{data}/sideways/EXAMPLE/FILE" in sentence


def test_folders_with_missing_parts_are_named_and_left_out(clips, data, capsys) -> None:
    up = data / "up"
    as_folder(up / "gap", frames("up", 1))
    (up / "gap" / "frame10.png").unlink()
    as_folder(up / "torn", frames("up", 2))
    (up / "torn" / "frame9.png").write_text("no picture")
    (up / "hollow").mkdir()
    (up / "words").mkdir()
    (up / "words" / "note.txt").write_text("frames to come")
    code, checked = run(capsys, "check", data, "--modality", "clip")
    assert code == 0
    assert checked["observed"]["count"] == 20
    reasons = {kind["kind"]: kind["examples"] for kind in checked["problems"]}
    unreadable, empty = " ".join(reasons["unreadable"]), " ".join(reasons["empty"])
    assert f"'{up}/gap' has frames 8 to 12, and not one of each: [10]." in unreadable
    assert f"'{up}/torn/frame9.png' cannot be read as a picture." in unreadable
    assert f"'{up}/words' holds no numbered frames (.png or .jpg files)." in unreadable
    assert f"'{up}/hollow' is an empty folder." in empty


def test_a_copy_of_a_folder_is_a_duplicate_and_one_changed_frame_makes_another_example(clips, data, capsys) -> None:
    shutil.copytree(data / "up" / "walk.0", data / "up" / "copy")
    checked = run(capsys, "check", data, "--modality", "clip")[1]
    assert [(one["kind"], one["count"]) for one in checked["problems"]] == [("exact_duplicates", 2)]
    fit = {"backbone": "clip/motion", "tap": "last"}
    assert gw.fit(data, **fit).record["cache"] == {"hits": 1, "misses": 20}
    assert gw.fit(data, **fit).record["cache"]["misses"] == 0
    Image.new("RGB", (16, 16), "red").save(data / "up" / "copy" / "frame9.png")
    assert gw.fit(data, **fit).record["cache"]["misses"] == 1
    (data / "up" / "copy" / "frame12.png").rename(data / "up" / "copy" / "frame13.png")
    (data / "up" / "copy" / "frame13.png").rename(data / "up" / "copy" / "frame12.jpg")
    assert gw.fit(data, **fit).record["cache"]["misses"] == 1


def table(data: Path, **more: str) -> Path:
    """A table of the folders in `data`, with their labels."""
    rows = [f"data/{label}/walk.{number},{label}" for label in ("up", "down") for number in range(5)]
    (data.parent / "clips.csv").write_text("\n".join(["path,label", *rows, *(f"{k},{v}" for k, v in more.items())]))
    return data.parent / "clips.csv"


def test_tables_of_folders_work_from_the_command_line(clips, data, tmp_path, capsys) -> None:
    code, fitted = run(capsys, "fit", table(data), "--out", tmp_path / "run")  # no picture is a folder
    assert (code, fitted["modality"], fitted["n_train"] + fitted["n_val"]) == (0, "clip", 10)
    assert run(capsys, "evaluate", tmp_path / "run", table(data))[1]["n"] == 10
    answers = run(capsys, "predict", tmp_path / "run", table(data))[1]
    assert [one["label"] for one in answers] == ["up"] * 5 + ["down"] * 5
    code, checked = run(capsys, "check", table(data, **{"data/up/walk.9": "up"}))
    assert "walk.9' does not exist." in checked["problems"][0]["message"]


def test_an_archive_of_clips_and_a_clip_in_an_archive(clips, data, tmp_path, capsys) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "data")
    assert run(capsys, "fit", packed, "--backbone", "clip/motion", "--out", tmp_path / "run")[0] == 0
    one = shutil.make_archive(str(tmp_path / "one"), "gztar", data / "up" / "walk.0")
    members = [f"zip://data/up/walk.1::{packed}", f"zip://data/up/3.gif::{packed}"]
    answers = run(capsys, "predict", tmp_path / "run", one, *members)[1]
    assert [one["label"] for one in answers] == ["up", "up", "up"]


def test_estimators_take_folders(clips, data) -> None:
    from graftwork.sklearn import TransferClassifier

    folders = [str(data / label / f"walk.{number}") for label in ("up", "down") for number in range(5)]
    classifier = TransferClassifier("clip/motion").fit(folders, ["up"] * 5 + ["down"] * 5)
    assert list(classifier.predict([data / "up" / "walk.0", data / "down" / "0.gif"])) == ["up", "down"]


def test_a_folder_that_a_table_names_may_not_lead_outside(clips, data, capsys) -> None:
    secret = data.parent.parent / "secret.png"
    Image.new("RGB", (16, 16)).save(secret)
    (data / "up" / "walk.0" / "frame9.png").unlink()
    (data / "up" / "walk.0" / "frame9.png").symlink_to(secret)
    sentence = said(capsys, "check", table(data))
    assert "frame9.png', which leads to" in sentence
    assert "--allow-outside" in sentence


def test_the_overlap_is_reported(clips, capsys) -> None:
    code, reports = run(capsys, "plugins")
    notes = {report["name"]: report["notes"] for report in reports}
    assert code == 0
    assert notes["clips.plugin"] == notes["graftwork_image.plugin"] == [
        "Both clip and image read .gif files and folders of .jpg, .png files: the encoder decides (--backbone), or "
        "--modality clip or image."
    ]  # fmt: skip
    assert notes["core"] == []
    app._run(["plugins"], json=False)
    assert capsys.readouterr().out.count("Note: Both clip and image read") == 1
