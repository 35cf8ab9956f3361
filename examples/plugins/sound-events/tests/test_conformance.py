"""The plugin keeps what the kit asks of any."""

from __future__ import annotations

from graftwork.testing import conformance

test_conformance = conformance("sound-events")
