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


MARKDOWN = (
    "![x](http://evil.example/p.png)",
    "[a](javascript:alert(1))",
    "[b]: http://evil.example",
    "<http://evil.example>",
    "http://evil.example/p",
    "www.evil.example",
    "`code` *loud* _leaning_ ~~gone~~ $x$",
    "# heading",
    "- item",
    "1. item",
    "one | two\nthree",
    "\\[c](http://evil.example)",
    "safe\u202egnp.exe\u2066\x1b[31m\x9b2J\u200f",
)
"""Labels that are markup, or turn the direction of letters."""


def elements_of(card: str) -> list[tuple[str, dict[str, str | int | float]]]:
    """What a reader of Markdown with tables makes of a card."""
    from markdown_it import MarkdownIt

    found = []
    for block in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card):
        found.append((block.tag or block.type, block.attrs))
        found += [(inner.tag or inner.type, inner.attrs) for inner in block.children or ()]
    return found


def test_the_reader_of_markdown_that_judges_cards_sees_markup() -> None:
    seen = {tag for label in MARKDOWN for tag, _ in elements_of(label)}
    assert {"img", "a", "h1", "ul", "ol", "code_inline", "em", "s"} <= {
        "code_inline" if tag == "code" else tag for tag in seen
    }


def test_addresses_are_not_written_as_readers_that_make_links_of_them_take_them() -> None:
    from graftwork.runtime.visible import markdown

    assert markdown("http://evil.example www.evil.example") == "http\\://evil.example www\\.evil.example"


@pytest.mark.parametrize("markup", MARKDOWN)
def test_words_in_markdown_are_words(markup) -> None:
    from graftwork.runtime.visible import markdown

    for text, allowed in (
        (f"{markdown(markup)}\n", {"p", "text", "text_special", "softbreak"}),
        (f"- {markdown(markup)}\n", {"p", "text", "text_special", "ul", "li"}),
        (
            f"| a |\n|---|\n| {markdown(markup)} |\n",
            {"table", "thead", "tbody", "tr", "th", "td", "inline", "text", "text_special"},
        ),
    ):
        found = {tag for tag, _ in elements_of(text)}
        assert found - {"inline", ""} <= allowed, (text, found)


def test_labels_in_a_card_make_no_picture_no_link_and_no_line_of_their_own(tiny_bert, tmp_path) -> None:
    rows = [{"text": f"card number {n} {label}", "label": label} for label in MARKDOWN for n in range(4)]
    data = tmp_path / "![x](http:evil).jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    gw.fit(data, f"local:{tiny_bert}", out=tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    found = elements_of(card)
    assert not [tag for tag, _ in found if tag in ("a", "em", "s", "ol", "h3")]
    pictures = [attrs["src"] for tag, attrs in found if tag == "img"]
    assert set(pictures) <= {"card-1.png"}
    assert [tag for tag, _ in found if tag == "h1"] == ["h1", "h1"]  # its title opens and closes
    for page in (card, (tmp_path / "run" / "report.html").read_text(encoding="utf-8")):
        assert "gnp.exe" in page
        assert not set(page) & {"\u202e", "\u2066", "\u200f", "\x1b", "\x9b"}
        assert "\\u202egnp.exe" in page


def test_the_page_of_check_shows_what_turns_letters_round(photos, tmp_path) -> None:
    odd = photos / "dark" / "a\u202ebmp.exe.bmp"
    odd.write_bytes(b"no picture")
    write_check(gw.check(photos), tmp_path / "page.html")
    assert "a\\u202ebmp.exe.bmp" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_json_is_one_document_whatever_names_hold(capsys) -> None:
    names = ["\udcff.png", "a\u202eb", "\x9b2J", "\x7f", "é"]
    terminal.document(names)
    out = capsys.readouterr().out
    assert json.loads(out) == names
    assert not set(out) & {"\udcff", "\u202e", "\x9b", "\x7f"}
    assert "é" in out
    assert json.loads(terminal.json_text(names, "ascii")) == names


def test_json_has_no_word_for_what_is_not_finite(capsys) -> None:
    terminal.document({"r2": float("nan"), "all": [1.5, float("inf"), {"low": float("-inf")}]})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    said = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert said == {"r2": None, "all": [1.5, None, {"low": None}]}


def test_names_do_not_steer_the_terminal(capsys) -> None:
    terminal.tell("a\x1b]0;title\x07.png\tis\nhere\x9b2J")
    terminal.say("\x1b[2Jlabel")
    terminal.say("invoice\u202efdp.exe \u2066x\u2069 \u200e\u200f\u061c \udc80")
    terminal.table(["label"], [["\x1b[31mred"]])
    said = capsys.readouterr()
    assert said.out.startswith("a\\x1b]0;title\\x07.png\tis\nhere\\x9b2J\n")
    assert "\\x1b[31mred" in said.out
    assert said.err == ("\\x1b[2Jlabel\ninvoice\\u202efdp.exe \\u2066x\\u2069 \\u200e\\u200f\\u061c \\udc80\n")
    assert "\x1b" not in said.out
