"""What is set for a company is shown as it can be typed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core import settings
from loadingdock.core.model.companies import CompanySetting
from loadingdock.web.dialect import discover

KNOWN = {one.key: one for one in (*settings.CORE, *(one for dialect in discover() for one in dialect.settings))}


@pytest.mark.parametrize("setting", KNOWN.values(), ids=lambda setting: setting.key)
def test_a_default_can_be_typed(setting: CompanySetting[Any]) -> None:
    assert setting.parse(setting.spell(setting.default)) == setting.default


@pytest.mark.parametrize(
    ("key", "typed", "shown"),
    [
        ("retention", "90d", "90d"),
        ("retention", "24h", "1d"),
        ("retention", "90m", "90m"),
        ("retention", "never", "never"),
        ("quota-bytes", "50GiB", "50GiB"),
        ("quota-bytes", "5GB", "5GB"),
        ("quota-bytes", "1025", "1025"),
        ("quota-bytes", "0", "0"),
        ("quota-bytes", "none", "none"),
        ("quota-files", "7", "7"),
        ("legacy-md5", "yes", "on"),
        ("rate-limit", "100 per 10 seconds", "100/10 seconds"),
        ("cors-origins", "https://a.example https://b.example", "https://a.example,https://b.example"),
        ("cors-origins", "default", "default"),
        ("signed-url.allowed-types", "text/csv, text/plain", "text/csv,text/plain"),
        ("signed-url.expires-in", "120s", "2m"),
    ],
)
def test_what_was_typed_is_shown(key: str, typed: str, shown: str) -> None:
    setting = KNOWN[key]
    assert setting.spell(setting.parse(typed)) == shown


@given(st.integers(0, 10**6), st.sampled_from(["", "B", "kB", "MB", "TB", "KiB", "MiB", "TiB"]))
def test_every_size(number: int, unit: str) -> None:
    value = settings.size(f"{number}{unit}")
    assert settings.size(settings.spelled_size(value)) == value


@given(st.integers(1, 5_000), st.sampled_from("smhdw"))
def test_every_duration(number: int, unit: str) -> None:
    value = settings.duration(f"{number}{unit}")
    assert settings.duration(settings.spelled_duration(value)) == value


def test_namespaces() -> None:
    setting = KNOWN["file-service.namespaces"]
    value = setting.parse('[{"name": "invoices", "types": ["application/pdf"], "max_size": "10MiB"}]')
    assert setting.parse(setting.spell(value)) == value
