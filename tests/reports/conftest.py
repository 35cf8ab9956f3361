"""Pages as browsers and screen readers take them, and made-up records with everything that a page can show."""

from __future__ import annotations

import copy
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

VOID = {"meta", "img", "br", "input", "hr", "link"}
NETWORK = ("http:", "https:", "//", "ftp:")


class Page(HTMLParser):
    """The elements of a page, each with the names of those around it; and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.words, self.open = "", []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data
            for tag in set(self.open):
                self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]


def check_sound(page: Page) -> None:
    """What holds of every page: no script, no network, landmarks, names for everything that is seen."""
    for tag, attributes, _ in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "link", "form")
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "data", "action", "srcset"):
            assert not attributes.get(name, "").startswith(NETWORK), attributes[name]
    (html,) = page.all("html")
    assert html["lang"] == "en"
    for landmark in ("main", "header", "footer", "h1", "title"):
        assert [tag for tag, _, around in page.elements if tag == landmark and "svg" not in around], landmark
    identities = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    links = [a["href"] for a in page.all("a")]
    assert links[0] == "#content"  # the way past the links, first
    assert {link.removeprefix("#") for link in links} <= set(identities)
    assert all("alt" in image for image in page.all("img"))
    assert all(sound["aria-label"] for sound in page.all("audio"))
    assert (
        len(page.all("caption"))
        == len(page.all("table"))
        == len([c for c in page.texts.get("caption", ()) if c.strip()])
    )
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    for chart in page.all("svg"):
        assert chart["role"] == "img"
        title, says = chart["aria-labelledby"].split()
        assert {title, says} <= set(identities)
    assert all(says.strip() for says in page.texts.get("desc", ()))


@pytest.fixture
def sound() -> Callable[[str], Page]:
    """Parses a page and checks what holds of every one."""

    def read(text: str) -> Page:
        page = Page(text)
        check_sound(page)
        return page

    return read


STAGE = {"before": "a" * 64, "after": "a" * 64, "trained": [], "frozen": 3}

RECORD: dict[str, Any] = {
    "task": "classify", "backbone": "image/one", "modality": "image", "tap": "block2", "taps": [], "freeze": "head", "head": "linear",
    "engine": {"used": "torch"}, "trained_by": "exact", "seed": 0, "adapter": "", "headline": "9 of 10 are right.", "warnings": ["2 of 20 files: small"],
    "n_train": 40, "n_val": 10, "n_test": 0, "training": {}, "precision": {"used": "fp32"}, "timings": {"total": 1.5},
    "versions": {"python": "3.11"}, "targets": {"names": ["cat", "dog"]},
    "labels": {"cat": {"train": 20, "validation": 5, "test": 0}, "dog": {"train": 20, "validation": 5, "test": 0}},
    "metrics": {"accuracy": 0.9, "log_loss": 0.31},
    "data": {
        "name": "photos", "left_out": [{"name": "torn.jpg", "reason": "'torn.jpg' is torn.", "kind": "unreadable"}],
        "observed": {
            "modality": "image", "place": "folder 'photos'", "count": 51, "units": {"width": "px"},
            "facts": {
                "width": [{"value": 100 + k, "count": 3, "example": f"{k}.jpg"} for k in range(17)],
                "mode": [{"value": "RGB", "count": 50, "example": "0.jpg"}, {"value": "L", "count": 1, "example": "1.jpg"}],
            },
            "values": {"width": "100 to 4 032 px", "mode": "RGB, L"},
            "ranges": {"width": {"low": 120, "high": 4032, "median": 1024, "low_example": "small.jpg", "high_example": "large.jpg"}},
        },
    },
    "agreement": {
        "steps": [{"converter": "to-rgb", "fact": "mode", "seen": "L", "to": "RGB", "count": 1, "loss": "", "example": "1.jpg"}],
        "left_out": [], "warnings": [], "adapter": "",
    },
    "certificate": {"ok": True, "frozen": ["block1"], "leaked": [], "moved": [], "stages": {"block1": STAGE}},
    "validation": {
        "figures": [
            {"name": "accuracy", "words": "accuracy", "higher_is_better": True},
            {"name": "log_loss", "words": "log loss", "higher_is_better": False},
        ],
        "parts": [
            {"kind": "heat_map", "title": "Confusion", "says": "Most often 'cat' is taken for 'dog': 1 of 5 times.",
             "rows": ["cat", "dog"], "columns": ["cat", "dog"], "counts": [[4, 1], [0, 5]], "named": ["'cat' taken for 'dog': 1 of 5"]},
            {"kind": "table", "title": "Labels", "says": "'cat' is found worst.", "columns": ["label", "F1"], "rows": [["cat", 0.889]]},
            {"kind": "scatter", "title": "Values", "says": "Half are off by 2.", "x": "true", "y": "answered", "points": [[1.0, 2.0], [3.0, 2.5]]},
        ],
        "mistakes": [{"name": "cat/7.jpg", "true": "cat", "said": "dog", "note": "91% sure"}],
    },
}  # fmt: skip

DEPTHS = [
    {"stage": "block1", "score": 0.71, "low": 0.6, "high": 0.8, "chosen": False},
    {"stage": "block2", "score": 0.92, "low": 0.9, "high": 0.95, "chosen": True},
    {"stage": "block3", "score": 0.85, "low": 0.8, "high": 0.9, "chosen": False},
]

MORE: dict[str, Any] = {
    "tried": [
        {"what": "head", "score": 0.85, "low": 0.8, "high": 0.9, "seconds": 4.0, "chosen": False, "why": ""},
        {"what": "last:1", "score": 0.93, "low": 0.9, "high": 0.96, "seconds": 41.5, "chosen": True, "why": "better by more than its error"},
    ],
    "depths": DEPTHS,
    "calibration": {
        "temperature": 1.7, "ece_before": 0.12, "ece_after": 0.03,
        "bins": [
            {"low": 0.0, "high": 0.5, "confidence": 0.4, "accuracy": 0.5, "count": 6},
            {"low": 0.5, "high": 0.9, "confidence": 0.0, "accuracy": 0.0, "count": 0},
            {"low": 0.9, "high": 1.0, "confidence": 0.95, "accuracy": 0.9, "count": 14},
        ],
    },
    "learning_curve": [
        {"n": 20, "score": 0.5, "low": 0.4, "high": 0.6}, {"n": 40, "score": 0.7, "low": 0.65, "high": 0.75},
    ],
}  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    """The record of a run, as far as pages read it."""
    return copy.deepcopy(RECORD)


@pytest.fixture
def more() -> dict[str, Any]:
    """What a record may hold besides."""
    return copy.deepcopy(MORE)
