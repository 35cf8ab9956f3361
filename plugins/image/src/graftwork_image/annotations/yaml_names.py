"""The names of classes in a data.yaml, as Ultralytics writes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from graftwork import DataError
from graftwork_image.annotations.faults import CORRECT, fault, text_of

DIGITS = re.compile("[0-9]{1,9}")
"""The number of a class."""


class _Texts(yaml.SafeLoader):
    """YAML whose values are texts, so that the classes `no` and `1` keep their names."""

    yaml_implicit_resolvers: ClassVar = {}


def names_of(file: Path) -> dict[int, str]:
    """The name of each number of a class. Raises `DataError` for what names none."""
    try:
        content: Any = _Texts(text_of(file)).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"Line {mark.line + 1} of '{file}'" if mark else f"'{file}'"
        raise DataError(f"{where} is not YAML: {getattr(error, 'problem', None) or error}.", CORRECT) from error
    content = content if isinstance(content, dict) else {}
    if "kpt_shape" in content:
        raise DataError(
            f"'{file}' describes key points (kpt_shape), which no task learns; boxes and outlines are accepted.",
            "Export the labels again, as boxes.",
        )
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    accepted = "a list of names, or a name for each number, is accepted"
    if not isinstance(names, dict) or not names:
        raise fault(file, "names", names, accepted)
    found = {}
    for key, name in names.items():
        if not DIGITS.fullmatch(str(key)) or not isinstance(name, str) or not name.strip():
            raise fault(file, f"names[{key}]", name, accepted)
        found[int(key)] = name.strip()
    return found
