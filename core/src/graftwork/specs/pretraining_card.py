"""The card in a folder that `graftwork pretrain` wrote: where its weights come from, and digests of its files.

Beside config.json and the weights lie `graftwork.json`, the card; `examples.bin`, a digest of 16 bytes for each
training example, sorted; and README.md, the card for people. config.json names the card, so that a missing card is
noticed.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graftwork.errors import DataError, WeightsMismatch
from graftwork.runtime.visible import markdown, visible
from graftwork.specs.hub_folder import read_json
from graftwork.specs.json_text import parse_json

CARD = "graftwork.json"
EXAMPLES = "examples.bin"
MARK = "graftwork_card"
"""The field of config.json that names the card."""
WIDTH = 16
"""Bytes of the digest of an example's content (BLAKE2b)."""


def digest(content: bytes) -> bytes:
    """The digest of an example's content (BLAKE2b), `WIDTH` bytes."""
    from hashlib import blake2b

    return blake2b(content, digest_size=WIDTH).digest()


def write(folder: Path, about: Mapping[str, Any], examples: Iterable[bytes]) -> dict[str, Any]:
    """Write the card into a folder that is complete except for README.md. Returns the card.

    about: its contents besides the digests. examples: the digests of the training examples.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, MARK: CARD}, indent=2) + "\n", encoding="utf-8")
    (folder / EXAMPLES).write_bytes(b"".join(sorted(set(examples))))
    files = sorted(file for file in folder.iterdir() if file.name not in (CARD, "README.md"))
    card = {"format": 1, **about, "files": {file.name: _sha256(file) for file in files}}
    (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def read(folder: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The card of a folder whose config.json holds `config`; None if there is no card and `config` names none.

    Raises `DataError` if the card is missing or is not one.
    """
    file = folder / CARD
    if not file.is_file():
        if MARK not in config:
            return None
        raise DataError(
            f"'{folder}' was written by graftwork pretrain and its card, {CARD}, is missing, so what it was pretrained "
            "on is not known.",
            "Copy the whole folder.",
        )
    try:
        card = parse_json(file.read_text(encoding="utf-8"))
        if not (dict(card["files"]) and card["data"]["name"] and card["license"]):
            raise ValueError("empty")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{file}' is not a card of graftwork pretrain.", "Copy the whole folder again.") from error
    return card


def verify(folder: Path) -> None:
    """Check the files of a folder against its card, if it has one.

    Raises `WeightsMismatch` for a file that is missing or changed, and what `read` raises.
    """
    card = read(folder, read_json(folder / "config.json"))
    for name, expected in card["files"].items() if card else ():
        if not (folder / name).is_file():
            raise WeightsMismatch(f"'{folder}' has no {name}, which its card names.", "Copy the whole folder again.")
        if _sha256(folder / name) != expected:
            raise WeightsMismatch(
                f"'{folder / name}' is not the file that the card in {CARD} describes: its SHA-256 is another.",
                "Copy the whole folder again, or pretrain anew.",
            )


def of(weights: Path | None) -> Path | None:
    """The folder that these weights lie in, if it has a card; else None."""
    if weights is None:
        return None
    folder = weights if weights.is_dir() else weights.parent
    return folder if (folder / CARD).is_file() and (folder / EXAMPLES).is_file() else None


def overlap(folder: Path, examples: Iterable[bytes]) -> int:
    """How many of these digests belong to examples that the folder's weights were trained on."""
    held = (folder / EXAMPLES).read_bytes()
    known = [held[start : start + WIDTH] for start in range(0, len(held), WIDTH)]

    def among(one: bytes) -> bool:
        place = bisect.bisect_left(known, one)
        return place < len(known) and known[place] == one

    return sum(among(one) for one in examples)


def describe(card: Mapping[str, Any]) -> str:
    """The card for people: Markdown with the metadata block that the Hugging Face hub reads."""
    data, teacher = card["data"], card["teacher"]
    history = card["figures"]["history"]
    last = history[-1] if history else {}
    learned = f", from {markdown(teacher['name'])} ({markdown(teacher['license'])})" if teacher else ""
    rows = "\n".join(f"| {markdown(name)} | {value:.4g} |" for name, value in last.items() if name != "epoch")
    amount = f", {data['amount']:g} {data['unit']}" if data["unit"] != "examples" else ""
    return f"""---
license: {" ".join(visible(card["license"]).split())}
library_name: graftwork
---
# {markdown(card["architecture"])}

{card["parameters"]:,} parameters, pretrained with `graftwork pretrain`: {markdown(card["objective"])}{learned}.

- Data: {markdown(data["name"])}, {data["examples"]:,} examples{amount}. The digests of their contents are in
  {EXAMPLES}.
- Licence of the weights: {markdown(card["license"])}.
- Seed {card["seed"]}; {card["training"]["epochs"]} epochs of {card["training"]["steps_per_epoch"]} steps of
  {card["training"]["batch_size"]} examples.
- What it reads: the contract in {CARD}.

After the last epoch, on examples held out:

| | |
|---|---|
{rows}

Use it: `graftwork fit DATA --backbone local:FOLDER`
"""


def _sha256(file: Path) -> str:
    from hashlib import file_digest

    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()
