"""Where the images of label files lie."""

from __future__ import annotations

import json

import pytest

from graftwork import Annotated, DataError
from graftwork.plugins import registry
from graftwork.specs.factories import load_factory
from graftwork_image.annotations.places import images_in, left_out, named, once


def test_links_that_go_in_circles_are_followed_once(tmp_path, images) -> None:
    images("a/b.png", ".hidden/c.png", "a/.d.png", "__MACOSX/e.png")
    (tmp_path / "a/back").symlink_to(tmp_path)
    assert images_in(tmp_path) == [tmp_path / "a/b.png"]


def test_an_image_is_found_in_the_first_folder_that_has_it(tmp_path, images) -> None:
    images("b/x/a.png", "c/x/a.png")
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    assert named("x/a.png", folders, tmp_path, "here") == tmp_path / "b/x/a.png"
    assert named("x\\a.png", folders, tmp_path, "here") == tmp_path / "b/x/a.png"
    assert named("y.png", folders, tmp_path, "here") == tmp_path / "a/y.png"
    with pytest.raises(DataError, match="here of 'l.json' names the image ''; the name of a file in the folder"):
        named("", folders, "l.json", "here")


def test_images_that_nobody_names_are_noted(tmp_path, images) -> None:
    images("a.png", "b.png", "c/d.png")
    examples = [Annotated(tmp_path / "a.png", None)]
    assert left_out(examples) == ["Images left out, since no label file names them: 1 of 2 in their folders."]
    assert left_out([*examples, Annotated(tmp_path / "b.png", None)]) == []


def test_an_image_that_is_named_twice_is_refused(tmp_path) -> None:
    once([Annotated(tmp_path / "a.png", None), Annotated(tmp_path / "b.png", None)], tmp_path / "l.json")
    with pytest.raises(DataError) as error:
        once([Annotated(tmp_path / "a.png", None)] * 2, tmp_path / "l.json")
    assert error.value.message == (
        f"'{tmp_path / 'l.json'}' names the image '{tmp_path / 'a.png'}' twice; one entry of an image is accepted."
    )


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio-images"])
def test_readers_refuse_images_that_are_named_twice_and_note_those_that_are_not(tmp_path, images, write, name) -> None:
    (spec,) = (spec for spec in registry.annotation_formats() if spec.name == name)
    entries = {
        "coco": lambda count: json.dumps(
            {"images": [{"id": n, "file_name": "a.png"} for n in range(count)], "annotations": [], "categories": []}
        ),
        "cvat": lambda count: "<annotations>" + '<image name="a.png" width="8" height="6"/>' * count + "</annotations>",
        "label-studio-images": lambda count: json.dumps([{"data": {"image": "a.png"}, "annotations": []}] * count),
    }
    file = write("labels.xml" if name == "cvat" else "labels.json", entries[name](1))
    images("a.png", "b.png")
    reader = load_factory(spec.factory)()
    assert reader.read(file, "boxes").notes == (
        "Images left out, since no label file names them: 1 of 2 in their folders.",
    )
    file.write_text(entries[name](2))
    with pytest.raises(DataError, match="twice; one entry of an image is accepted"):
        reader.read(file, "boxes")
