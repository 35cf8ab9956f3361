"""Short customer messages in 77 classes, made by a seeded generator, for measuring at a size that no small set has."""

from __future__ import annotations

import csv
import random
from pathlib import Path

ACTIONS = {
    "cancel": ["cancel", "call off", "stop", "withdraw", "drop", "undo"],
    "change": ["change", "update", "edit", "correct", "modify", "amend"],
    "find": ["find", "locate", "look up", "see", "where is", "track down"],
    "lose": ["lost", "misplaced", "cannot find any more", "left on the bus", "someone stole", "had stolen"],
    "pay": ["pay for", "settle", "get charged for", "send money for", "cover the cost of", "buy"],
    "complain": ["am unhappy with", "have a complaint about", "am disappointed by", "hate", "am angry about", "regret"],
    "break": ["broke", "damaged", "cannot use", "have trouble with", "got an error with", "see a fault in"],
    "order": ["order", "request", "apply for", "would like to get", "sign up for", "need a new"],
    "share": ["share", "give my wife access to", "lend", "transfer", "hand over", "send a friend"],
    "explain": ["understand", "learn how to use", "get an explanation of", "read the rules of", "know more about", "ask about"],
    "verify": ["verify", "confirm", "prove", "check", "validate", "authenticate"],
}  # fmt: skip
OBJECTS = {
    "card": ["card", "debit card", "visa", "plastic", "bank card"],
    "account": ["account", "profile", "login", "membership", "online banking"],
    "parcel": ["parcel", "package", "delivery", "shipment", "box"],
    "invoice": ["invoice", "bill", "receipt", "statement", "payment slip"],
    "phone": ["phone", "mobile", "handset", "sim", "number"],
    "ticket": ["ticket", "booking", "reservation", "seat", "flight"],
    "loan": ["loan", "mortgage", "credit", "financing", "instalment plan"],
}
STARTS = [
    "hi,",
    "hello",
    "please help:",
    "so",
    "well,",
    "good morning,",
    "",
    "",
    "",
    "sorry,",
    "quick question:",
    "hey",
]
MIDDLES = ["I want to", "how do I", "is there a way to", "I tried to", "can you help me", "yesterday I", "I must", "I"]
ENDS = [
    "today",
    "for my mother",
    "before friday",
    "again",
    "",
    "",
    "",
    "thanks",
    "as soon as possible",
    "from abroad",
    "??",
]
NOISE = 0.08
"""The part of messages whose label is another one, so that no encoder reaches 1."""


def make(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """`count` pairs of text and label, 77 labels."""
    rng = random.Random(seed)
    classes = [f"{action}_{thing}" for action in ACTIONS for thing in OBJECTS]
    rows = []
    for number in range(count):
        label = classes[number % len(classes)]
        action, _, thing = label.rpartition("_")
        words = [
            rng.choice(STARTS),
            rng.choice(MIDDLES),
            rng.choice(ACTIONS[action]),
            rng.choice(["my", "the", "a", "this"]),
        ]
        words += [rng.choice(OBJECTS[thing]), rng.choice(ENDS)]
        if rng.random() < 0.3:
            words += [
                rng.choice(["because of the", "and also the", "not the"]),
                rng.choice(rng.choice(list(OBJECTS.values()))),
            ]
        text = " ".join(word for word in words if word)
        rows.append((text, rng.choice(classes) if rng.random() < NOISE else label))
    rng.shuffle(rows)
    return rows


def held(table: Path) -> list[bool]:
    """Which of its rows `graftwork fit --seed 0` holds out."""
    import graftwork as gw
    from graftwork.data.splits import split

    data = gw.data(table)
    assert data.labels is not None
    return [word == "validation" for word in split(data.labels, data.splits, 0.2, 0)]


def write(path: Path, count: int, seed: int = 0) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(make(count, seed))
    return path
