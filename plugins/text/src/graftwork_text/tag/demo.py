"""Messages with names, places and dates to try `tag` on; written by templates, so that no one's data are in them."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

MESSAGES = 300
SEED = 7

FIRST = (
    # Also a month, a place, a verb, a thing.
    *(
        "May",
        "Rose",
        "Paris",
        "Jordan",
        "Chelsea",
        "Florence",
        "April",
        "June",
        "Will",
        "Mark",
        "Grace",
        "Hope",
        "Bill",
    ),
    *("Austin", "Sydney", "Charlotte", "Anna", "Omar", "Lena", "Yusuf", "Ingrid", "Priya", "Kenji", "Chidi", "Marta"),
)
LAST = (
    *("Hilton", "Bishop", "London", "Baker", "Cook", "Lake", "Banks", "Winter", "Friday", "Rivers", "March", "Reading"),
    *("Okafor", "Lindqvist", "Nakamura", "Haddad", "Novak", "Moreau", "Silva", "Kowalski", "Tanaka", "Berg", "Rossi"),
)
PLACES = (
    *("Paris", "Jordan", "Chelsea", "Florence", "Austin", "Sydney", "Charlotte", "London", "Reading", "Bath", "Nice"),
    *("Cork", "Oslo", "Lima", "Zagreb", "Nairobi", "Rose Street", "May Road", "Mark Lane", "Hope Valley", "Lake Grace"),
    *("Baker Street", "Winter Park", "Bishop Rock", "Sunday River", "Porto", "Kyoto", "Izmir", "Tampere", "Hull"),
)
MONTHS = ("May", "June", "April", "March", "August")
SEASONS = (*MONTHS, "next May", "early June", "late April")
WEEKDAYS = ("Friday", "Sunday", "Monday", "Wednesday", "Saturday")

TEMPLATES = (
    "{person} may come to {place} on {day}.", "Will {person} pay the bill on {day}?",
    "Please mark {day} as {person}'s day off.", "{person} rose early to get to {place}.",
    "I hope {person} finds a bath in {place}.", "Is it nice in {place} in {month}?",
    "Reading what {person} wrote took me until {day}.", "A table for {person} on {day}, please.",
    "From {place} to {place}, leaving on {day}.", "The office in {place} is closed in {month}.",
    "{person} and {person} met in {place}.", "Tell {person} that the march in {place} is on {day}.",
    "My order went to {place} and not to {place}!", "Could {person} call me before {day}?",
    "{person} is the new cook at our bank in {place}.", "We stay in {place} until {month}.",
    "The rose that {person} sent came on {day}.", "In {month} the prices in {place} rose again.",
    "Who is {person}?", "I moved here from {place} in {month}.", "Has {person} left for {place}?",
    "Your baker in {place} spoke of {person}.", "Move the meeting with {person} to {day}.",
    "Where in {place} is the lake?",
)  # fmt: skip
"""Sentences with entities, beside words that are names in others."""

PLAIN = (
    "May I pay the bill later?", "Will the parcel be here soon?", "The rose on my desk needs water.", "Nice work!",
    "I hope the bath is clean.", "Prices rose again, and my bill with them.", "The cork is stuck in the bottle.",
    "Say grace, then eat.", "Reading takes me ages.", "A winter coat is missing from my order.",
    "Any hope of a refund?",
    "Our baker and our cook are on a break.", "The banks are closed.", "It may rain at the lake.", "Mark my words.",
    "The bishop will march with them.", "Thank you, that was nice.", "She will bill me, I hope.",
    "No mark on it at all.",
)  # fmt: skip
"""Sentences without any."""


def entities(folder: Path) -> Path:
    """Write 300 messages to `folder/entities.jsonl`, `{"text", "spans": [{start, end, label}]}` each; the same ones
    whenever it is called.

    Labels: person, place, date. Many a word is a name in one message and none, or another's, in the next (May, Rose,
    Reading, Paris Hilton), and a fifth of the messages have no capitals, so neither the word nor its case tells.
    """
    chance = random.Random(SEED)
    seen: set[str] = set()
    path = folder / "entities.jsonl"
    with path.open("w", encoding="utf-8") as file:
        while len(seen) < MESSAGES:
            text, spans = _message(chance)
            if text not in seen:
                seen.add(text)
                file.write(json.dumps({"text": text, "spans": spans}, ensure_ascii=False) + "\n")
    return path


def _message(chance: random.Random) -> tuple[str, list[dict[str, int | str]]]:
    """One to three sentences, and the spans in them."""
    pool = [*TEMPLATES, *PLAIN]
    template = " ".join(chance.sample(pool, chance.choice((1, 1, 2, 2, 3))))
    text, spans = "", []
    for piece in re.split(r"(\{\w+\})", template):
        if not piece.startswith("{"):
            text += piece
            continue
        label, filler = _filler(piece[1:-1], chance)
        spans.append({"start": len(text), "end": len(text) + len(filler), "label": label})
        text += filler
    return (text.lower() if chance.random() < 0.2 else text), spans


def _filler(slot: str, chance: random.Random) -> tuple[str, str]:
    """A label and a text of it."""
    if slot == "person":
        forms = (f"{chance.choice(FIRST)} {chance.choice(LAST)}", chance.choice(FIRST), f"Dr {chance.choice(LAST)}")
        return "person", chance.choices(forms, (3, 3, 1))[0]
    if slot == "place":
        return "place", chance.choice(PLACES)
    if slot == "month":
        return "date", chance.choice(SEASONS)
    day = chance.randint(1, 28)
    forms = (f"{day} {chance.choice(MONTHS)}", f"{chance.choice(MONTHS)} {day}", chance.choice(WEEKDAYS))
    return "date", chance.choice(forms)
