"""WebDataset shards: examples in tar files, read from front to end, the same as the files in a folder."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import graftwork as gw
from graftwork import DataError
from graftwork.cli import app
from graftwork.data import streaming
from graftwork.data.remote import kept, shards


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr(streaming, "MOST_ROWS", 5)
    monkeypatch.setattr(shards, "PIECE", 3)


def write(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A shard of these keys, each with the content of its fields."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for key, fields in samples.items():
            for field, content in fields.items():
                info = tarfile.TarInfo(f"{key}.{field}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def samples_of(photos: Path, field: str = "cls") -> Iterator[tuple[str, dict[str, bytes]]]:
    """The pictures in the order of the folder, with their labels in a field."""
    for number, file in enumerate(sorted(photos.rglob("*.bmp"))):
        label = file.parent.name
        content = {"cls": f"{label}\n", "json": json.dumps({"label": label, "width": 40}), "txt": label}[field]
        yield f"{number:06d}", {"bmp": file.read_bytes(), field: content.encode()}


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """The pictures in three shards."""
    samples = list(samples_of(photos))
    for number in range(3):
        write(tmp_path / "shards" / f"pets-{number:04d}.tar", dict(samples[4 * number : 4 * number + 4]))
    return tmp_path / "shards"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("named", ["shards", "shards/pets-{0000..0002}.tar", "shards/pets-{0000,0001,0002}.tar"])
def test_the_fit_of_shards_is_that_of_the_pictures_in_a_folder(photos, folder, same_fit, stream, named) -> None:
    same_fit(photos, str(folder.parent / named), stream=stream)


@pytest.mark.parametrize("field", ["cls", "json", "txt"])
@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_label_is_in_any_of_three_fields(tmp_path, photos, field, ending) -> None:
    path = write(tmp_path / "one" / f"pets{ending}", dict(samples_of(photos, field)))
    data = gw.data(path)
    assert (data.name, len(data), list(data.labels or ())) == ("pets", 12, ["dark"] * 6 + ["light"] * 6)
    assert data.raws[0].name == "000000.bmp"


def test_shards_on_s3_are_streamed_through_dropped_connections_and_not_kept(bucket, photos, folder, same_fit) -> None:
    address = bucket.upload(folder)
    same_fit(photos, address, stream=True)
    same_fit(photos, f"{address}pets-{{0000..0002}}.tar", stream=True)
    assert bucket.proxy.dropped >= 2
    assert not kept.sources_folder().exists()


def test_a_shard_of_the_web_that_breaks_off_is_gone_on_with(web, tmp_path, photos, same_fit) -> None:
    write(tmp_path / "web" / "pets.tar", dict(samples_of(photos)))
    web.cuts += [10_000, 20_000]
    same_fit(photos, f"{web.address}/pets.tar", stream=True)
    assert [wanted for method, _, wanted in web.asked if method == "GET" and wanted]
    assert not kept.sources_folder().exists()


def test_the_streamed_fit_of_the_command_line_reads_shards(folder, tmp_path, tiny_vit, capsys) -> None:
    options = ["--streaming", "--backbone", tiny_vit, "--out", str(tmp_path / "run"), "--json"]
    assert app._run(["fit", str(folder), *options], json=True) == 0
    assert set(json.loads(capsys.readouterr().out)["labels"]) == {"dark", "light"}


def test_splits_are_those_of_the_names_of_the_shards(tmp_path, photos) -> None:
    samples = list(samples_of(photos))
    write(tmp_path / "set" / "train-0000.tar", dict(samples[::2]))
    write(tmp_path / "set" / "val-0000.tar", dict(samples[1::2]))
    assert gw.data(tmp_path / "set").splits == ["train"] * 6 + ["validation"] * 6
    write(tmp_path / "set" / "more-0000.tar", dict(samples[:2]))
    with pytest.raises(DataError) as error:
        gw.data(tmp_path / "set")
    assert str(error.value) == (
        "'set' holds shards of the splits train, validation, and 'more-0000.tar' of none. "
        "Move it, or name the shards of one split: train-{0000..0009}.tar"
    )


def test_texts_in_shards_are_texts(tmp_path, messages) -> None:
    rows = [line.split(",") for line in messages.read_text().splitlines()[1:]]
    path = write(
        tmp_path / "t" / "texts.tar", {str(n): {"txt": t.encode(), "cls": c.encode()} for n, (t, c) in enumerate(rows)}
    )
    data = gw.data(path)
    assert (data.modality.name, len(data)) == ("text", 40)
    assert list(data.labels or ()) == [label for _, label in rows]


def test_numbers_in_a_json_stay_as_written(tmp_path, photos) -> None:
    samples = {key: {"bmp": fields["bmp"], "json": b'{"label": 007.10, "x": {"y": 1}}'.replace(b"007", b"7")}
               for key, fields in samples_of(photos)}  # fmt: skip
    assert set(gw.data(write(tmp_path / "s" / "a.tar", samples)).labels or ()) == {"7.10"}


def test_class_folders_in_a_tar_file_are_no_shard(tmp_path, photos) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos, "photos")
    found = gw.stream(tmp_path / "photos.tar")
    assert [label for chunk in found.chunks() for label in chunk.labels or ()] == ["dark"] * 6 + ["light"] * 6


def test_a_shard_that_is_missing_is_named(folder) -> None:
    with pytest.raises(DataError) as error:
        gw.data(str(folder / "pets-{0000..0003}.tar"))
    assert str(error.value) == (
        f"The shard '{folder / 'pets-0003.tar'}' does not exist. Name those that do: shards-{{0000..0009}}.tar"
    )


def test_a_damaged_shard_is_named(folder) -> None:
    path = folder / "pets-0001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError) as error:
        gw.data(folder)
    assert str(error.value) == (f"'{path}' cannot be read as a shard: unexpected end of data. Fetch or write it again.")


def test_a_member_that_would_fill_the_memory_is_refused(folder, monkeypatch) -> None:
    monkeypatch.setenv("GRAFTWORK_LIMITS", "file_bytes=1000")
    with pytest.raises(DataError) as error:
        gw.data(folder)
    assert str(error.value) == (
        f"'{folder / 'pets-0000.tar'}' holds '000000.bmp' of 4,854 bytes; at most 1,000 are read. "
        "Leave it out, or, if you trust it, raise the limit: GRAFTWORK_LIMITS=file_bytes=4854"
    )


def test_a_pattern_of_too_many_is_refused() -> None:
    with pytest.raises(DataError, match=r"stands for more than 1,000,000 shards\. Name fewer\."):
        gw.data("x-{0..99999999}.tar")


def test_a_json_that_is_none_is_said_with_its_key(tmp_path, photos) -> None:
    samples = dict(samples_of(photos))
    samples["000003"]["json"] = b"{"
    with pytest.raises(DataError, match=r"'000003\.json' in a shard is not JSON: .*\. Mend or write it again\."):
        gw.data(write(tmp_path / "s" / "a.tar", samples))
