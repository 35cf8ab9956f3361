"""Names, labels and texts of the data are words wherever they are shown: never HTML, never what steers a terminal."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

import graftwork as gw
from graftwork.cli import terminal
from graftwork.reports.check_page import write_check

SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its words."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, str]] = []
        self.words = ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements += [(tag, name) for name, _ in attrs]
        self.elements.append((tag, ""))

    def handle_data(self, data: str) -> None:
        self.words += data


def assert_harmless(page: Page) -> None:
    assert not [element for element in page.elements if element[0] == "script" or element[1].startswith("on")]
    assert {name for tag, name in page.elements if tag == "img"} <= {"", "src", "alt"}


def test_the_page_of_check_shows_markup_as_words(tmp_path) -> None:
    for label in (IMAGE, "plain"):
        (tmp_path / "<i>set" / label).mkdir(parents=True)
        for name in ("a", SCRIPT.replace("/", "")):
            Image.new("RGB", (32, 32), "red").save(tmp_path / "<i>set" / label / f"{name}.bmp")
    (tmp_path / "<i>set" / "plain" / f"{IMAGE}.bmp").write_bytes(b"no picture")
    write_check(gw.check(tmp_path / "<i>set"), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert_harmless(page)
    assert ("i", "") not in page.elements
    for words in ("<i>set: check", f"{SCRIPT.replace('/', '')}.bmp", f"{IMAGE}.bmp' ", f", {IMAGE}", "have fewer than"):
        assert words in page.words, words


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A table whose texts and labels are markup; one text has no label, and one label holds a bar and a line end."""
    rows = [
        {"text": f"{word} {SCRIPT}", "label": f"{SCRIPT}|\n" if word == "card" else IMAGE}
        for word in ["card", "help"] * 20
    ]
    rows.append({"text": f"{IMAGE} lost", "label": ""})
    path = tmp_path / "<b>marked.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_the_report_and_the_card_of_a_run_show_markup_as_words(marked, tiny_bert, tmp_path) -> None:
    for freeze in ("head", "last:1"):
        options = {} if freeze == "head" else {"epochs": 1}
        gw.fit(marked, f"local:{tiny_bert}", freeze=freeze, out=tmp_path / freeze, **options)
        page = Page(tmp_path / freeze / "report.html")
        assert_harmless(page)
        assert ("b", "") not in page.elements
        for words in ("<b>marked: classify", SCRIPT, IMAGE, f"'{IMAGE} lost' has no label."):
            assert words in page.words, words
        card = (tmp_path / freeze / "README.md").read_text()
        assert "<" not in card
        (row,) = (line for line in card.splitlines() if line.startswith("| Labels |"))
        assert row == ("| Labels | &lt;img src=x onerror=alert(1)&gt;, &lt;script&gt;alert(1)&lt;/script&gt;\\| |")


def test_the_page_of_check_shows_texts_as_words(marked, tmp_path) -> None:
    write_check(gw.check(marked), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert_harmless(page)
    assert SCRIPT in page.words
    assert IMAGE in page.words


def test_names_do_not_steer_the_terminal(capsys) -> None:
    terminal.tell("a\x1b]0;title\x07.png\tis\nhere\x9b2J")
    terminal.say("\x1b[2Jlabel")
    terminal.table(["label"], [["\x1b[31mred"]])
    said = capsys.readouterr()
    assert said.out.startswith("a\\x1b]0;title\\x07.png\tis\nhere\\x9b2J\n")
    assert "\\x1b[31mred" in said.out
    assert said.err == "\\x1b[2Jlabel\n"
    assert "\x1b" not in said.out
