"""What the core itself brings keeps what the kit asks of any plugin."""

from __future__ import annotations

from graftwork.testing import conformance

test_conformance = conformance("core")
