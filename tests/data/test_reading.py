"""What data can be: folders, tables and saved sets; and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

import graftwork as gw
from graftwork import DataError, UsageError
from graftwork.data.reading import allow_bad

ROWS = [("where is it", "a"), ("NA", "b"), ("007", "a"), ('say "hi", now', "b")]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def texts(data: gw.Data) -> list[str]:
    return [raw.value for raw in data.raws]


def saved(kind: str, folder: Path) -> Path:
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    table = datasets.Dataset.from_dict(columns)
    path = folder / f"t.{kind}"
    match kind:
        case "csv":
            quoted = ['"' + text.replace('"', '""') + f'",{label}' for text, label in ROWS]
            write(path, "\n".join(["text,label", *quoted]) + "\n")
        case "tsv":
            write(path, "\n".join(["text\tlabel", *("\t".join(row).replace('"', "'") for row in ROWS)]) + "\n")
        case "jsonl":
            table.to_json(path)
        case "parquet":
            table.to_parquet(path)
        case "disk":
            table.save_to_disk(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "disk"])
def test_every_kind_of_table_gives_the_same_examples_and_keeps_cells_as_written(kind, tmp_path) -> None:
    data = gw.data(saved(kind, tmp_path))
    expected = [text.replace('"', "'") if kind == "tsv" else text for text, _ in ROWS]
    assert texts(data) == expected
    assert data.labels == ["a", "b", "a", "b"]
    assert (data.modality.name, data.observed.count, data.observed.place) == ("text", 4, "column 'text'")


def test_splits_of_other_names_are_never_dropped_in_silence() -> None:
    part = datasets.Dataset.from_dict({"text": ["x y", "z"], "label": ["a", "b"]})
    data = gw.data(datasets.DatasetDict({"train": part, "unsupervised": part}))
    assert len(data) == 2
    assert data.notes == ("The split 'unsupervised' (2 rows) is left out; train, validation and test are used.",)
    with pytest.raises(DataError, match="brings the splits 'fold1', 'fold2'; accepted: train, "):
        gw.data(datasets.DatasetDict({"fold1": part, "fold2": part}))


def test_a_datasets_object_is_taken_with_its_class_names_and_splits() -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    part = datasets.Dataset.from_dict({"text": ["x y", "z"], "label": [1, 0]}, features=features)
    data = gw.data(datasets.DatasetDict({"train": part, "validation": part, "unsupervised": part}))
    assert data.labels == ["yes", "no", "yes", "no"]
    assert data.splits == ["train", "train", "validation", "validation"]


def test_semicolons_a_byte_order_mark_and_line_breaks_in_cells_are_read(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes('\ufefftext;label\n"one\ntwo";a\nthree;b\n'.encode())
    data = gw.data(path)
    assert texts(data) == ["one\ntwo", "three"]


def test_a_split_column_is_used(tmp_path) -> None:
    data = gw.data(write(tmp_path / "t.csv", "text,label,split\nx,a,train\ny,b,dev\nz,b,test\n"))
    assert data.splits == ["train", "validation", "test"]


def test_columns_are_found_when_plain_and_taken_when_named(tmp_path) -> None:
    path = write(tmp_path / "t.csv", "id,sentence,remark,topic\n1,x y,q,a\n2,z,r,b\n")
    assert texts(gw.data(path)) == ["x y", "z"]
    assert texts(gw.data(path, input="remark")) == ["q", "r"]
    assert gw.data(path, label="id").labels == ["1", "2"]


def test_class_folders_with_and_without_splits(tmp_path) -> None:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            write(tmp_path / "with" / split / label / "1.txt", f"{label} text")
    write(tmp_path / "without" / "cat" / "deep" / "1.txt", "a cat")
    write(tmp_path / "without" / "dog" / "1.txt", "\ufeffa dog")
    write(tmp_path / "without" / "dog" / ".hidden", "x")
    data = gw.data(tmp_path / "with")
    assert data.splits == ["test", "test", "train", "train"]
    data = gw.data(tmp_path / "without")
    assert (data.labels, data.splits) == (["cat", "dog"], None)


def test_blank_texts_and_missing_labels_are_named_and_left_out(tmp_path) -> None:
    data = gw.data(write(tmp_path / "t.csv", "text,label\nx,a\n  ,b\ny,\nz,b\n"))
    assert texts(data) == ["x", "z"]
    assert [bad.reason for bad in data.bad] == ["'row 2' is an empty text.", "'y' has no label."]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "", "'{path}' is empty."),
        ("t.csv", "text,label\n", "'t' has no rows."),
        ("t.csv", "text,label\nx,a,b\n", "'{path}', row 2: 'x,a,b' has 3 cells, and the heading has 2."),
        ("t.csv", "a,b,c\n1,2,3\n", "'t' has the columns 'a', 'b', 'c', and none of them is plainly the label."),
        ("t.csv", "a,b,label\n1,2,3\n", "'t' has the columns 'a', 'b', 'label', and none of them is plainly the input."),
        ("t.csv", "text,label,split\nx,a,monday\n", "'t' has 'monday' in its column 'split'; accepted: train, "),
        ("t.csv", "text,label\n ,a\n", "None of the 1 examples of column 'text' can be used; the first: 'row 1' is an empty text."),
        ("t.csv", "text,text,label\na,b,x\n", "'t' has the column 'text' more than once."),
        ("t.jsonl", "{", "'{path}' cannot be read as JSON: "),
        ("t.parquet", "no", "'{path}' cannot be read as PARQUET: "),
        ("t.docx", "x", "'{path}' ends in '.docx'; tables end in .csv, .tsv, .jsonl, "),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_answered_with_a_sentence(name, content, sentence, tmp_path) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        gw.data(path)
    assert caught.value.message.startswith(sentence.format(path=path))
    assert caught.value.hint


def test_a_jsonl_that_is_not_utf8_says_so_with_the_command_that_mends_it(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_bytes('{"text": "ça va", "label": "a"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8 text, .*JSONL.*iconv -f latin1 -t utf8 t.jsonl"):
        gw.data(tmp_path / "t.jsonl")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_csv_of_another_encoding_is_read_and_each_cell_counted_as_what_it_is(encoding, tmp_path) -> None:
    (tmp_path / "t.csv").write_bytes("text,label\nça va,été\nplain words,été\nbien,b\n".encode(encoding))
    data = gw.data(tmp_path / "t.csv")
    assert data.labels == ["été", "été", "b"]
    seen = {sighting.value: sighting.count for sighting in data.observed.facts["encoding"]}
    assert seen == ({"utf-8": 2, "latin-1": 1} if encoding == "latin-1" else {"utf-8": 3})


def test_a_missing_column_lists_those_that_exist(tmp_path) -> None:
    path = write(tmp_path / "t.csv", "text,label\nx,a\n")
    with pytest.raises(
        UsageError, match=r"'t' has no column 'intent'; its columns are 'text', 'label'. .*--label COLUMN"
    ):
        gw.data(path, label="intent")
    with pytest.raises(UsageError, match=r"no column 'msg'.*--input COLUMN"):
        gw.data(path, input="msg")


def test_folders_that_cannot_be_used(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="The folder '.*empty' is empty"):
        gw.data(tmp_path / "empty")
    write(tmp_path / "loose" / "a.txt", "x")
    with pytest.raises(DataError, match="holds 1 files and no class folders; one folder per label is accepted"):
        gw.data(tmp_path / "loose")
    write(tmp_path / "odd" / "a" / "x.xyz", "x")
    with pytest.raises(
        DataError, match=r"No installed plugin reads the files of folder .*\(endings: .xyz; 'x.xyz' is a text \('x'\)\)"
    ):
        gw.data(tmp_path / "odd")
    with pytest.raises(
        DataError, match="'nowhere' does not exist; a folder, a table, an archive, an address or hub:NAME is accepted"
    ):
        gw.data("nowhere")
    with pytest.raises(UsageError, match="is a folder of files, which has no columns"):
        gw.data(tmp_path / "odd", label="x")


def test_a_data_set_on_a_hub_out_of_reach_is_answered_at_once(monkeypatch) -> None:
    with pytest.raises(DataError, match="The data set 'a/b' is on the hub, which cannot be reached .--offline forbids"):
        gw.data("hub:a/b")
    for name in ("GRAFTWORK_OFFLINE", "HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    with pytest.raises(
        DataError, match="which cannot be reached .*Name or service not known|failure in name resolution"
    ):
        gw.data("hub:a/b")


def test_file_paths_in_a_table_are_relative_to_it_and_missing_ones_are_named(tmp_path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    data = gw.data(write(tmp_path / "t.csv", "file,label\na.png,x\nb.png,y\nc.png,y\n"))
    assert data.modality.name == "image"
    assert [raw.path for raw in data.raws] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert [bad.name for bad in data.bad] == ["c.png"]


def test_up_to_five_percent_may_be_left_out() -> None:
    from graftwork.data.reading import Bad

    one = [Bad("x.png", "'x.png' is not an image.")]
    assert allow_bad(one, 20, "skip") == ("Left out: 'x.png' is not an image.",)
    with pytest.raises(
        DataError, match="1 of 19 examples cannot be used and at most 5% may be left out; the first: 'x.png'"
    ):
        allow_bad(one, 19, "skip")
    with pytest.raises(DataError, match="none is allowed with --on-bad error"):
        allow_bad(one, 100, "error")
    with pytest.raises(UsageError, match="--on-bad maybe is not known; skip and error are"):
        allow_bad([], 1, "maybe")


def test_a_split_column_may_be_written_in_any_case(tmp_path) -> None:
    path = write(tmp_path / "t.csv", "text,label,Split\na,x,train\nb,y,Test\n")
    assert gw.data(path).splits == ["train", "test"]
