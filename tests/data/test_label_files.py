"""Label files: which format a source is of, what it gives to which task, and what is said where it gives nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import graftwork as gw
from graftwork import (
    Annotated,
    AnnotatedExamples,
    Box,
    Boxes,
    DataError,
    Mask,
    PluginFault,
    Region,
    Span,
    Spans,
    UsageError,
)
from graftwork.data.inputs import named_inputs
from graftwork.data.options import SourceOptions
from graftwork.data.reading import list_source
from graftwork.plugins import registry


class Labelled(gw.AnnotationReader):
    """A folder or file with a word in it; gives what the test says."""

    found: AnnotatedExamples = AnnotatedExamples(())
    word = "labels.demo"

    def fits(self, place: Path) -> bool:
        return (place / self.word).is_file() if place.is_dir() else place.name == self.word

    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        return self.found


class Failing(Labelled):
    def read(self, place: Path, kind: str) -> AnnotatedExamples:
        raise KeyError("boxes")


def demo(
    kinds: tuple[str, ...] = ("boxes",),
    modality: str = "image",
    name: str = "demo",
    words: str = "a demo file",
    reader: str = "Labelled",
) -> gw.AnnotationSpec:
    return gw.AnnotationSpec(name, f"{__name__}:{reader}", kinds, modality, words)


def photo(path: Path, size: tuple[int, int] = (40, 30), turn: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = turn
    Image.new("RGB", size).save(path, exif=exif)
    return path


def labelled(root: Path, *examples: Annotated, notes: tuple[str, ...] = ()) -> Path:
    root.mkdir(exist_ok=True)
    (root / Labelled.word).write_text("x")
    Labelled.found = AnnotatedExamples(examples, notes)
    return root


ONE = Boxes((Box("cat", 1, 2, 11, 12),))


def test_a_folder_of_a_format_gives_its_examples(formats, tmp_path) -> None:
    formats(demo())
    files = [photo(tmp_path / "a" / f"{i}.jpg") for i in range(3)]
    words = ("train", "val", "test")
    labelled(
        tmp_path, *(Annotated(file, ONE, split) for file, split in zip(files, words, strict=True)), notes=("Read so.",)
    )
    data = gw.data(tmp_path, task="detect")
    assert list(data.labels or ()) == [ONE] * 3
    assert list(data.splits or ()) == ["train", "validation", "test"]
    assert [raw.path for raw in data.raws] == files
    assert (data.modality.name, data.layout, data.labels_place, data.notes) == (
        "image",
        "demo",
        "label files",
        ("Read so.",),
    )


def test_a_file_of_a_format_gives_texts(formats, tmp_path) -> None:
    formats(demo(("spans",), "text"))
    label = Spans((Span(0, 5, "place"),))
    labelled(tmp_path, Annotated("Paris is far", label), Annotated("so it is", Spans()))
    data = gw.data(tmp_path / Labelled.word, task="tag")
    assert [raw.value for raw in data.raws] == ["Paris is far", "so it is"]
    assert list(data.labels or ()) == [label, Spans()]
    assert data.splits is None


def test_two_formats_that_fit_are_asked_about_and_a_layout_chooses(formats, tmp_path) -> None:
    formats(demo(), demo(name="other", words="another file"))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), ONE))
    with pytest.raises(UsageError) as error:
        gw.data(tmp_path, task="detect")
    assert str(error.value) == (
        f"'{tmp_path}' can be read in two ways: as demo (a demo file) and as other (another file). "
        "Say which: --layout demo or --layout other"
    )
    assert gw.data(tmp_path, task="detect", layout="other").layout == "other"


def test_a_format_of_another_kind_does_not_compete(formats, tmp_path) -> None:
    formats(demo(), demo(("mask",), name="other"))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), ONE))
    assert gw.data(tmp_path, task="detect").layout == "demo"


def test_a_layout_that_is_not_known_lists_layouts_and_formats(formats, tmp_path) -> None:
    formats(demo())
    photo(tmp_path / "a.jpg")
    with pytest.raises(UsageError) as error:
        gw.data(tmp_path, task="detect", layout="nope")
    assert error.value.message.startswith(
        "--layout nope is not known; known are class-folders (one folder per label); "
    )
    assert error.value.message.endswith("; demo (a demo file).")


def test_a_layout_that_does_not_fit_says_what_it_is(formats, tmp_path) -> None:
    formats(demo())
    photo(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="is not laid out as demo: a demo file. Leave out --layout, and it is found."):
        gw.data(tmp_path, task="detect", layout="demo")


@pytest.mark.parametrize("layout", ["", "demo"])
def test_labels_that_the_task_does_not_take_say_which_task_does(formats, tmp_path, layout) -> None:
    formats(demo(("boxes", "mask")))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), ONE))
    with pytest.raises(DataError) as error:
        gw.data(tmp_path, layout=layout)
    assert str(error.value) == (
        f"'{tmp_path}' is read as demo (a demo file), which gives boxes or masks; the task 'classify' takes one name per example. "
        "Write: --task detect or --task segment"
    )


def test_labels_of_another_modality_are_not_for_the_task(formats, tmp_path) -> None:
    formats(demo(("spans",), "text"))
    labelled(tmp_path, Annotated("a text", Spans()))
    with pytest.raises(DataError) as error:
        gw.data(tmp_path / Labelled.word, task="sounds")
    assert str(error.value) == (
        f"'{tmp_path / Labelled.word}' is read as demo (a demo file), which gives spans; the task 'sounds' is for audio. Write: --task tag"
    )


def test_labels_that_no_installed_task_takes_ask_for_one(formats, tmp_path) -> None:
    formats(demo(("transcript",), "text"))
    labelled(tmp_path, Annotated("a text", "a text"))
    with pytest.raises(DataError, match="Install a plugin with a task that takes them; see: graftwork plugins"):
        gw.data(tmp_path / Labelled.word)


def test_a_table_that_is_a_label_file_is_no_table_for_classify_but_its_columns_can_be_named(
    formats, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(Labelled, "word", "rows.jsonl")
    formats(demo(("spans",), "text"))
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "a b", "label": [{"start": 0, "end": 1, "label": "x"}], "kind": "u"}\n{"text": "c d", "label": [], "kind": "v"}\n'
    )
    with pytest.raises(DataError, match="which gives spans; the task 'classify' takes one name per example"):
        gw.data(path)
    assert list(gw.data(path, label="kind").labels or ()) == ["u", "v"]


def test_two_folders_of_inputs_and_labels_are_no_labels_by_themselves(formats, tmp_path) -> None:
    formats(demo(("mask",)))
    for folder in ("images", "masks"):
        photo(tmp_path / folder / "a.jpg")
    labelled(tmp_path, Annotated(tmp_path / "images" / "a.jpg", Mask(tmp_path / "masks" / "a.jpg")))
    with pytest.raises(UsageError) as error:
        gw.data(tmp_path)
    assert str(error.value) == (
        f"'{tmp_path}' can be read in two ways: as class-folders (one folder per label) and as demo (a demo file), which "
        "gives masks. Say which: --layout class-folders or --task segment"
    )
    assert set(gw.data(tmp_path, layout="class-folders").labels or ()) == {"images", "masks"}
    assert len(gw.data(tmp_path, task="segment")) == 1


def test_without_labels_a_labelled_folder_is_a_folder_of_files(formats, tmp_path) -> None:
    formats(demo())
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), ONE))
    assert gw.data(tmp_path, labelled=False).labels is None


def test_without_labels_a_label_file_is_what_it_labels(formats, tmp_path) -> None:
    formats(demo(("spans",), "text"))
    labelled(tmp_path, Annotated("a b", Spans()), Annotated("c d", None))
    data = gw.data(tmp_path / Labelled.word, labelled=False)
    assert ([raw.value for raw in data.raws], data.labels) == (["a b", "c d"], None)


def test_a_folder_that_holds_nothing_of_the_kind_says_what_is_read(formats, tmp_path) -> None:
    formats(demo())
    for label in ("cat", "dog"):
        photo(tmp_path / label / "a.jpg")
    with pytest.raises(DataError) as error:
        gw.data(tmp_path, task="detect")
    assert str(error.value) == (
        f"'{tmp_path}' holds no boxes in a form that is known; known are demo (a demo file), and tables with a column of "
        "them. Save them in one of these formats; see: graftwork plugins"
    )


def test_a_file_of_a_format_that_nobody_reads_says_which_are_read(formats, tmp_path) -> None:
    formats(demo())
    (tmp_path / "labels.xyz").write_text("x")
    with pytest.raises(DataError, match=r"ends in '\.xyz'; tables end in \.csv, .*, label files are demo\. "):
        gw.data(tmp_path / "labels.xyz", task="detect")


def test_names_compete_with_layouts_but_not_with_text_files(formats, tmp_path) -> None:
    formats(demo(("name",)))
    photos = [photo(tmp_path / f"{i}.jpg") for i in range(8)]
    for path in photos:
        path.with_suffix(".txt").write_text("x")
    labelled(tmp_path, *(Annotated(path, f"label {path.stem}") for path in photos))
    assert list(gw.data(tmp_path).labels or ()) == [f"label {i}" for i in range(8)]
    assert set(gw.data(tmp_path, layout="text-files").labels or ()) == {"x"}
    for path in photos:
        photo(tmp_path / path.stem / "x.jpg")
    with pytest.raises(UsageError, match="can be read in two ways: as class-folders .* and as demo"):
        gw.data(tmp_path)


def test_columns_of_a_label_file_are_refused(formats, tmp_path) -> None:
    formats(demo())
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), ONE))
    with pytest.raises(
        UsageError, match=r"is read as demo \(a demo file\), which has no columns. Leave out --input and --label."
    ):
        gw.data(tmp_path, task="detect", label="boxes")


def test_texts_in_text_files_are_transcripts(formats, tmp_path) -> None:
    formats(demo())
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 800), 8000)
        (tmp_path / f"{name}.txt").write_text(f" Hello {name}\n")
    assert list(gw.data(tmp_path, task="transcribe").labels or ()) == ["Hello a", "Hello b"]


# What is left out, and named.


def test_a_file_that_is_named_and_missing_is_named_as_unreadable(formats, tmp_path) -> None:
    formats(demo())
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), ONE), Annotated(tmp_path / "b.jpg", ONE))
    data = gw.data(tmp_path, task="detect")
    assert [(bad.kind, bad.name) for bad in data.bad] == [("unreadable", str(tmp_path / "b.jpg"))]
    assert len(data) == 1


def test_an_example_without_a_label_is_unlabelled_and_one_that_holds_nothing_is_not(formats, tmp_path) -> None:
    formats(demo())
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), None), Annotated(photo(tmp_path / "b.jpg"), Boxes()))
    data = gw.data(tmp_path, task="detect")
    assert [bad.reason for bad in data.bad] == [f"'{tmp_path / 'a.jpg'}' has no label."]
    assert list(data.labels or ()) == [Boxes()]


def test_examples_of_no_split_or_an_unknown_one_are_left_out_with_a_note(formats, tmp_path) -> None:
    formats(demo())
    splits = ("train", "", "extra")
    labelled(tmp_path, *(Annotated(photo(tmp_path / f"{i}.jpg"), ONE, split) for i, split in enumerate(splits)))
    data = gw.data(tmp_path, task="detect")
    assert list(data.splits or ()) == ["train"]
    assert data.notes == (
        "Left out: 1 examples that are in no split.",
        "The split 'extra' (1 examples) is left out; train, validation and test are used.",
    )


def test_a_label_file_without_examples_is_refused(formats, tmp_path) -> None:
    formats(demo())
    labelled(tmp_path)
    with pytest.raises(
        DataError, match=f"'{tmp_path}' holds no examples. A place that is read as demo is a demo file."
    ):
        gw.data(tmp_path, task="detect")


def test_paths_that_lead_outside_are_guarded(formats, tmp_path) -> None:
    formats(demo(("boxes", "mask")))
    (tmp_path / "inside").mkdir()
    inside, outside = photo(tmp_path / "inside" / "a.jpg"), photo(tmp_path / "b.jpg")
    root = labelled(tmp_path / "inside", Annotated(outside, ONE))
    with pytest.raises(DataError, match=r"Example 1 of 'inside' names '.*b\.jpg', which leads to .*, outside of"):
        gw.data(root, task="detect")
    assert len(gw.data(root, task="detect", allow_outside=True)) == 1
    labelled(root, Annotated(inside, Mask(outside)))
    with pytest.raises(
        DataError, match=r"The mask of example 1 of 'inside' names '.*b\.jpg', which leads to .*, outside of"
    ):
        gw.data(root, task="segment")


def test_a_reader_that_fails_is_a_fault_of_its_plugin(formats, tmp_path) -> None:
    formats(demo(reader="Failing"))
    labelled(tmp_path)
    with pytest.raises(PluginFault, match="The reader of the format 'demo' fails on '.*': KeyError: 'boxes'."):
        gw.data(tmp_path, task="detect")


def test_a_factory_that_is_no_reader_is_refused(formats, tmp_path) -> None:
    formats(demo(reader="ONE"))
    labelled(tmp_path)
    with pytest.raises(PluginFault, match="'.*:ONE' is not a graftwork.AnnotationReader."):
        gw.data(tmp_path, task="detect")


def test_the_fingerprint_of_masks_is_that_of_their_content_in_every_process(formats, tmp_path) -> None:
    from graftwork.data.fingerprint import fingerprint

    formats(demo(("mask",)))
    picture, mask, other = (photo(tmp_path / name) for name in ("a.png", "m.png", "n.png"))

    def of(label: Mask) -> str:
        labelled(tmp_path, Annotated(picture, label))
        return fingerprint(gw.data(tmp_path, task="segment"))

    levels = [str(level) for level in range(50)]
    given = Mask(mask, names={"0": "x", "1": "y"}, ignored=frozenset(levels))
    alike = Mask(other, names={"1": "y", "0": "x"}, ignored=frozenset(reversed(levels)))
    assert of(given) == of(alike)
    before = of(given)
    Image.new("RGB", (40, 30), "red").save(mask)
    assert of(given) != before


# Parts of clips.


def tone(path: Path, seconds: float = 2.0, rate: int = 8000) -> Path:
    ramp = np.linspace(0.0, 0.9, int(seconds * rate))
    soundfile.write(path, ramp, rate)
    return path


def test_a_part_of_a_clip_is_an_example_by_itself(formats, tmp_path) -> None:
    from graftwork.data.fingerprint import contents
    from graftwork.specs.factories import load_factory

    formats(demo(("name",), "audio"))
    path = tone(tmp_path / "a.wav")
    labelled(tmp_path, Annotated(path, "low", seconds=(0.0, 0.5)), Annotated(path, "high", seconds=(1.5, 2.0)))
    data = gw.data(tmp_path)
    assert list(data.labels or ()) == ["low", "high"]
    assert [raw.name for raw in data.raws] == [f"{path} from 0.00 to 0.50 s", f"{path} from 1.50 to 2.00 s"]
    reader = load_factory(data.modality.reader)()
    low, high = (reader.decode(raw) for raw in data.raws)
    assert low.samples.shape == high.samples.shape == (1, 4000)
    assert low.samples.max() < 0.3 < 0.6 < high.samples.min()
    assert [reader.facts(raw)["duration"] for raw in data.raws] == [0.5, 0.5]
    assert [reader.size(raw) for raw in data.raws] == [4000, 4000]
    assert reader.identity_digest(data.raws[0]) != reader.identity_digest(data.raws[1])
    assert len(set(contents(data))) == 2


@pytest.mark.parametrize(
    ("seconds", "kind", "said"),
    [
        ((1.5, 2.5), "unreadable", "the sound lasts 2.00 s, and the part goes on to 2.50 s"),
        ((1.0, 1.0), "empty", "the part holds no samples"),
    ],
)
def test_a_part_that_the_clip_does_not_hold_is_named(formats, tmp_path, seconds, kind, said) -> None:
    formats(demo(("name",), "audio"))
    path = tone(tmp_path / "a.wav")
    labelled(tmp_path, Annotated(path, "low", seconds=(0.0, 0.5)), Annotated(path, "high", seconds=seconds))
    (bad,) = gw.data(tmp_path).bad
    assert bad.kind == kind
    assert said in bad.reason


def test_a_part_that_ends_a_trace_behind_the_clip_is_cut_there(formats, tmp_path) -> None:
    formats(demo(("name",), "audio"))
    labelled(tmp_path, Annotated(tone(tmp_path / "a.wav"), "high", seconds=(1.5, 2.05)))
    assert gw.data(tmp_path).observed.facts["duration"][0].value == 0.5


def test_parts_for_a_reader_that_reads_none_are_a_fault(formats, tmp_path) -> None:
    formats(demo(("name",)))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), "x", seconds=(0.0, 0.5)))
    with pytest.raises(PluginFault, match="The format 'demo' gives parts of files, and '.*' does not read parts."):
        gw.data(tmp_path)


# Names within annotations.


def names(root: Path, task: str, **rules: object) -> list[object]:
    return list(list_source(root, SourceOptions.of(task=task, **rules)).labels or ())  # pyright: ignore


def test_names_within_annotations_are_folded_renamed_and_dropped(formats, tmp_path) -> None:
    formats(demo(("boxes", "mask")))
    boxes = Boxes((Box(" cat ", 0, 0, 1, 1), Box("cat", 1, 1, 2, 2), Box("dog", 0, 0, 2, 2)), (40, 30))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), boxes))
    assert names(tmp_path, "detect") == [
        Boxes((Box("cat", 0, 0, 1, 1), Box("cat", 1, 1, 2, 2), Box("dog", 0, 0, 2, 2)), (40, 30))
    ]
    assert names(tmp_path, "detect", drop_label="cat") == [Boxes((Box("dog", 0, 0, 2, 2),), (40, 30))]
    assert names(tmp_path, "detect", label_map={"dog": "pet", "cat": "pet"})[0].boxes[0].label == "pet"  # pyright: ignore
    mask = Mask(names={"0": "back", "1": "cat"}, ignored=frozenset({"255"}))
    labelled(tmp_path, Annotated(tmp_path / "a.jpg", mask))
    assert names(tmp_path, "segment", drop_label="cat") == [Mask(names={"0": "back"}, ignored=frozenset({"1", "255"}))]


def test_painted_regions_that_are_dropped_are_neither_background_nor_a_class(formats, tmp_path) -> None:
    formats(demo(("mask",)))
    mask = Mask(regions=(Region(" cat ", runs=(1,)), Region("dog", runs=(2,))), size=(40, 30))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.jpg"), mask))
    ignored = frozenset({""})
    gone, dog = Region("", runs=(1,)), Region("dog", runs=(2,))
    assert names(tmp_path, "segment", drop_label="cat") == [replace(mask, regions=(gone, dog), ignored=ignored)]
    renamed = (gone, replace(dog, label="cat"))
    assert names(tmp_path, "segment", drop_label="cat", label_map={"dog": "cat"}) == [
        replace(mask, regions=renamed, ignored=ignored)
    ]


def test_levels_of_a_mask_without_names_are_renamed_and_dropped(formats, tmp_path) -> None:
    formats(demo(("mask",)))
    mask = Mask(photo(tmp_path / "m.png"))
    labelled(tmp_path, Annotated(photo(tmp_path / "a.png"), mask))
    rename = {"0": "inside", "255": "membrane"}
    assert names(tmp_path, "segment", label_map=rename) == [replace(mask, names=rename)]
    assert names(tmp_path, "segment", drop_label="128") == [replace(mask, ignored=frozenset({"128"}))]
    assert names(tmp_path, "segment") == [mask]


def test_names_of_spans_are_dropped_and_one_that_is_nowhere_is_refused(formats, tmp_path) -> None:
    formats(demo(("spans",), "text"))
    labelled(tmp_path, Annotated("a b c", Spans((Span(0, 1, "x"), Span(2, 3, "y")))))
    assert names(tmp_path / Labelled.word, "tag", drop_label="x") == [Spans((Span(2, 3, "y"),))]
    with pytest.raises(
        DataError, match="No example has the label 'z', which is to be mapped or dropped; the labels are 'x', 'y'."
    ):
        names(tmp_path / Labelled.word, "tag", drop_label="z")


def test_transcripts_are_trimmed_and_never_folded(formats, tmp_path) -> None:
    formats(demo(("transcript",), "audio"))
    texts = ["1.0", " 1 ", "True", "true", "cafe\u0301"]
    labelled(tmp_path, *(Annotated(tone(tmp_path / f"{i}.wav", 0.1), text) for i, text in enumerate(texts)))
    assert names(tmp_path, "transcribe") == ["1.0", "1", "True", "true", "caf\u00e9"]
    with pytest.raises(UsageError, match="which have no names to map or drop"):
        names(tmp_path, "transcribe", drop_label="1")


# Labels that cannot be true.


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (
            Boxes((Box("x", 0, 0, 42, 10),)),
            "its box 'x' from 0, 0 to 42, 10 lies outside of the image of 40 x 30 pixels",
        ),
        (
            Boxes((Box("x", -3, 0, 4, 10),)),
            "its box 'x' from -3, 0 to 4, 10 lies outside of the image of 40 x 30 pixels",
        ),
        (Boxes((Box("x", 9, 0, 4, 10),)), "its box 'x' from 9, 0 to 4, 10 is turned: a maximum is below its minimum"),
        (Boxes((Box(" ", 4, 0, 5, 10),)), "its box '' from 4, 0 to 5, 10 has no name"),
        (Boxes((Box("x", float("nan"), 0, 4, 10),)), "its box 'x' from nan, 0 to 4, 10 has no finite place"),
        (Boxes(size=(80, 60)), "its boxes were drawn on 80 x 60 pixels, and the image is of 40 x 30 pixels"),
        (Mask(size=(80, 60)), "its mask was drawn on 80 x 60 pixels, and the image is of 40 x 30 pixels"),
        (
            Mask(regions=(Region("x", ((0, 0, 50, 0, 5, 5),)),)),
            "a polygon of 'x' lies outside of the image of 40 x 30 pixels",
        ),
        (
            Mask(regions=(Region("x", ((0, 0, 5, 0),)),)),
            "a polygon of 'x' has 4 numbers, where three points or more are accepted",
        ),
        (Mask(regions=(Region("x", runs=(3, 4)),)), "the runs of 'x' are of 7 pixels, and the image of 40 x 30 pixels"),
        (Mask(regions=(Region("", runs=(1200,)),)), "a region of its mask has no name"),
    ],
)
def test_a_label_that_cannot_be_true_of_its_image_is_named(formats, tmp_path, label, said) -> None:
    formats(demo(("boxes", "mask")))
    kind = "detect" if isinstance(label, Boxes) else "segment"
    fine = Boxes() if isinstance(label, Boxes) else Mask()
    labelled(tmp_path, Annotated(photo(tmp_path / "a.png"), label), Annotated(photo(tmp_path / "b.png"), fine))
    (bad,) = gw.data(tmp_path, task=kind).bad
    assert (bad.kind, bad.reason) == ("label", f"'{tmp_path / 'a.png'}' has a label that cannot be true: {said}.")


def test_a_box_that_holds_no_pixel_is_left_out_with_a_note_and_its_image_is_not(formats, tmp_path) -> None:
    formats(demo())
    path = photo(tmp_path / "a.png")
    labelled(tmp_path, Annotated(path, Boxes((*ONE.boxes, Box("cat", 4, 2, 4, 5)))), Annotated(path, ONE))
    data = gw.data(tmp_path, task="detect")
    assert list(data.labels or ()) == [ONE, ONE]
    assert data.notes == (f"Left out: boxes that hold no pixel, in 1 of the files; the first: {path}.",)


@pytest.mark.parametrize("box", [Box("x", -1, -1, 41, 31), Box("x", 0.5, 0, 40.5, 30)])
def test_a_box_may_lie_outside_by_a_pixel(formats, tmp_path, box) -> None:
    formats(demo())
    labelled(tmp_path, Annotated(photo(tmp_path / "a.png"), Boxes((box,))))
    assert not gw.data(tmp_path, task="detect").bad


def test_a_turned_photo_is_as_wide_as_people_see_it_unless_the_file_says_that_it_was_drawn_as_stored(
    formats, tmp_path
) -> None:
    formats(demo())
    box = Box("x", 25, 35, 29, 39)
    path = photo(tmp_path / "a.jpg", (40, 30), turn=6)
    for size, good in ((None, True), ((30, 40), True), ((40, 30), False)):
        labelled(tmp_path, Annotated(path, Boxes((box,), size)), Annotated(photo(tmp_path / "b.jpg"), Boxes()))
        assert len(gw.data(tmp_path, task="detect").bad) == (0 if good else 1)


@pytest.mark.parametrize(
    ("size", "content", "said"),
    [
        ((20, 30), None, "its mask '{mask}' is of 20 x 30 pixels, and the image of 40 x 30 pixels"),
        ((40, 30), b"no image", "its mask cannot be read ("),
        ((40, 30), b"", "its mask cannot be read ("),
    ],
)
def test_a_mask_of_another_size_or_that_cannot_be_read_is_named(formats, tmp_path, size, content, said) -> None:
    formats(demo(("mask",)))
    mask = photo(tmp_path / "masks" / "a.png", size)
    if content is not None:
        mask.write_bytes(content)
    fine = photo(tmp_path / "masks" / "b.png")
    labelled(
        tmp_path, Annotated(photo(tmp_path / "a.png"), Mask(mask)), Annotated(photo(tmp_path / "b.png"), Mask(fine))
    )
    (bad,) = gw.data(tmp_path, task="segment").bad
    assert bad.kind == "label"
    assert said.format(mask=mask) in bad.reason


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (Span(3, 13, "x"), "its span 'x' from 3 to 13 lies outside of the text of 12 characters"),
        (Span(5, 3, "x"), "its span 'x' from 5 to 3 ends before it starts"),
        (Span(5, 5, "x"), "its span 'x' from 5 to 5 is empty"),
        (Span(-1, 5, "x"), "its span 'x' from -1 to 5 starts before the text"),
        (Span(1, 5, ""), "its span '' from 1 to 5 has no name"),
    ],
)
def test_a_span_that_cannot_be_true_of_its_text_is_named(formats, tmp_path, span, said) -> None:
    formats(demo(("spans",), "text"))
    labelled(tmp_path, Annotated("Paris is far", Spans((span,))), Annotated("so it is", Spans()))
    (bad,) = gw.data(tmp_path / Labelled.word, task="tag").bad
    assert (bad.kind, bad.reason) == ("label", f"'Paris is far' has a label that cannot be true: {said}.")


def test_a_span_may_end_a_trace_behind_its_clip(formats, tmp_path) -> None:
    formats(demo(("spans",), "audio"))
    path = tone(tmp_path / "a.wav")
    good, bad = (Spans((Span(1, end, "x"),), "seconds") for end in (2.05, 2.5))
    labelled(tmp_path, Annotated(path, good), Annotated(path, bad))
    (found,) = gw.data(tmp_path, task="sounds").bad
    assert "its span 'x' from 1 to 2.5 s lies outside of the clip of 2 s" in found.reason


# Elsewhere.


def test_an_archive_of_a_format_is_read_and_named_by_itself(formats, tmp_path, monkeypatch) -> None:
    import shutil

    class Inside(Labelled):
        def read(self, place: Path, kind: str) -> AnnotatedExamples:
            label = Boxes() if kind == "boxes" else "low"
            parts = {"boxes": None, "name": (0.0, 0.5)}
            names = sorted(path for path in place.iterdir() if path.suffix in (".jpg", ".wav"))
            return AnnotatedExamples(tuple(Annotated(path, label, seconds=parts[kind]) for path in names))

    monkeypatch.setattr(sys.modules[__name__], "Inside", Inside, raising=False)
    formats(demo(reader="Inside"), demo(("name",), "audio", "other", reader="Inside"))
    photo(labelled(tmp_path / "photos") / "a.jpg")
    shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "photos")
    data = gw.data(tmp_path / "photos.zip", task="detect")
    assert [raw.name for raw in data.raws] == ["a.jpg"]
    assert data.observed.place == f"folder '{tmp_path / 'photos.zip'}'"
    tone(labelled(tmp_path / "sounds") / "a.wav")
    shutil.make_archive(str(tmp_path / "sounds"), "zip", tmp_path / "sounds")
    assert [raw.name for raw in gw.data(tmp_path / "sounds.zip").raws] == ["a.wav from 0.00 to 0.50 s"]


def test_a_stream_reads_label_files_too(formats, tmp_path) -> None:
    formats(demo(("spans",), "text"))
    labelled(tmp_path, *(Annotated(f"text {i}", Spans()) for i in range(5000)))
    chunks = list(gw.stream(tmp_path / Labelled.word, task="tag").chunks())
    assert [len(chunk) for chunk in chunks] == [4096, 904]
    assert chunks[1].raws[0].value == "text 4096"


@pytest.mark.parametrize("name", ["labels.demo", "rows.jsonl", ""])
def test_what_is_labelled_is_what_is_predicted_for(formats, tmp_path, monkeypatch, name) -> None:
    monkeypatch.setattr(Labelled, "word", name or "labels.demo")
    formats(demo(("spans",), "text"))
    labelled(tmp_path, Annotated("a b", Spans()), Annotated("c d", None))
    (found,) = named_inputs([str(tmp_path / name), "a text of its own"], registry.modality("text"))
    assert [getattr(one, "value", one) for one in found.inputs] == ["a b", "c d", "a text of its own"]


def test_files_beside_labels_are_predicted_for_and_the_labels_are_not(formats, tmp_path) -> None:
    formats(demo())
    path = photo(labelled(tmp_path) / "a.jpg")
    labelled(tmp_path, Annotated(path, ONE))
    (found,) = named_inputs([str(tmp_path)], registry.modality("image"))
    assert [one.path for one in found.inputs] == [path]
    (found,) = named_inputs([str(path)], registry.modality("image"))
    assert found.inputs == [str(path)]


def test_a_broken_format_keeps_nobody_from_others_and_is_said_where_nothing_else_is_read(formats, tmp_path) -> None:
    formats(demo(reader="missing", name="broken"), demo())
    path = photo(tmp_path / "a.jpg")
    with pytest.raises(PluginFault, match="':missing' cannot be imported|missing' cannot be imported"):
        gw.data(tmp_path, task="detect")
    labelled(tmp_path, Annotated(path, ONE))
    assert gw.data(tmp_path, task="detect").layout == "demo"
    with pytest.raises(PluginFault, match="missing' cannot be imported"):
        gw.data(tmp_path, task="detect", layout="broken")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (demo(reader="ONE"), "The factory of the format 'demo', .*:ONE, is no graftwork.AnnotationReader."),
        (demo(("nothing",)), "The format 'demo' gives 'nothing', which is no kind of labels; spans, boxes, .* are."),
        (demo(name="metadata"), "The format 'metadata' is called as a layout of folders."),
        (demo(reader="Anything"), "The format 'demo' fits '.*', a file without content or of noise."),
    ],
)
def test_the_kit_refuses_a_format_that_breaks_its_promise(formats, monkeypatch, spec, said) -> None:
    from graftwork.plugins.loading import installed
    from graftwork.testing.cases import Nonconformance
    from graftwork.testing.kit import cases

    class Anything(Labelled):
        def fits(self, place: Path) -> bool:
            return True

    monkeypatch.setattr(sys.modules[__name__], "Anything", Anything, raising=False)
    formats(spec)
    (report,) = (report for report in installed().reports if report.provides.get("annotations"))
    (case,) = (case for case in cases(report.name) if case.kind == "annotations")
    with pytest.raises(Nonconformance, match=said):
        case()
