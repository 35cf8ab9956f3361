"""The conformance kit: what a plugin promises, checked. One line in an author's test file runs all of it:

    test_conformance = graftwork.testing.conformance("my-plugin")

`pip install graftwork[testing]` brings pytest. `KIT_VERSION` changes when a plugin that passed may fail.
"""

from graftwork.testing.cases import CHECKS, Case, Nonconformance, NotChecked, Reference
from graftwork.testing.kit import cases, conformance
from graftwork.testing.samples import examples, write_data

KIT_VERSION = 2

__all__ = [
    "CHECKS",
    "KIT_VERSION",
    "Case",
    "Nonconformance",
    "NotChecked",
    "Reference",
    "cases",
    "conformance",
    "examples",
    "write_data",
]
