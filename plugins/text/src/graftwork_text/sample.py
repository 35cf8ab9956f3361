"""Texts made to measure, for the conformance kit: of so many characters, in a script, an encoding, a case."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Mapping

from graftwork import Raw, Value

WORDS = {
    "Latin": "where is my parcel the card was lost please help with a refund for this order today",
    "Cyrillic": "где моя посылка карта потеряна помогите вернуть деньги за заказ сегодня",
    "Greek": "που ειναι το δεμα μου η καρτα χαθηκε βοηθεια με την παραγγελια σημερα",
    "Han": "我 的 包裹 在 哪里 卡 丢 了 请 帮助 退款 订单 今天",
    "Arabic": "أين طردي فقدت البطاقة ساعدوني في استرداد المال اليوم",
    "none": "1 2 3 44 55 666 7 88 999 10",
}


def build(facts: Mapping[str, Value], rng: random.Random) -> Raw:
    """A text of 3 to 14 words. Raises `LookupError` for a script, an encoding or a length that is not made here."""
    words = WORDS[str(facts.get("script", "Latin"))].split()
    text = " ".join(rng.choice(words) for _ in range(rng.randint(3, 14)))
    if facts.get("case") == "cased":
        text = text.upper()
    if facts.get("unicode_form") == "not NFC":
        text = unicodedata.normalize("NFD", f"{text} é")
    if facts.get("byte_order_mark") == "present":
        text = f"{text}\ufeff"
    match facts.get("markup", "none"):
        case "some":
            text = f"<b>{text}</b>"
        case "mostly":
            text = '<a href="https://example.org/where-the-parcels-are/refund/order">1</a>'
    if "characters" in facts:
        text = _long(text, int(facts["characters"]))
    match facts.get("encoding", "utf-8"):
        case "utf-8":
            return Raw("sample", value=text)
        case "utf-16":
            return Raw("sample", value=text.encode("utf-16"))
        case "latin-1":
            return Raw("sample", value=f"{text} é".encode("latin-1"))
        case other:
            raise LookupError(f"no text is made in {other}")


def _long(text: str, length: int) -> str:
    """The text, repeated or cut to so many characters, blanks at the ends not counted."""
    if length < 1:
        raise LookupError("a text has a character at the least")
    cut = (text + " ") * (length // (len(text) + 1) + 1)
    return cut[:length].rstrip().ljust(length, "a")
