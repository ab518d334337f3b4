"""Permissions, company settings and audit rows: the small rules of access."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core import settings
from loadingdock.core.audit import claimed, entry, escaped
from loadingdock.core.errors import Forbidden, InvalidInput
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.permissions import GROUPS, PERMISSIONS, expand, holds, intersect, parse_grants, permit
from loadingdock.testing.clock import SetClock

NOW = SetClock().now()
COMPANY = Company(1, "acme", 100_606, "Acme", NOW)


def principal(*permissions: str, subject: str = "anna") -> Principal:
    return Principal(COMPANY, PrincipalKind.USER, subject, expand(permissions), "192.0.2.1", "a" * 32)


# --- permissions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "asked", "namespace"),
    [
        ("files:read", "files:read", None),
        ("files:read", "files:read", "rewards"),
        ("files:read/rewards", "files:read", "rewards"),
        ("default", "files:read", "rewards"),
        ("default", "files:write", "rewards"),
        ("admin", "contacts:load", None),
        ("admin", "files:write", "rewards"),
    ],
)
def test_held(held: str, asked: str, namespace: str | None) -> None:
    permit(principal(held), asked, namespace)


@pytest.mark.parametrize(
    ("held", "asked", "namespace", "named"),
    [
        ("files:read", "files:write", None, "files:write"),
        ("files:read/rewards", "files:read", None, "files:read"),
        ("files:read/rewards", "files:read", "other", "files:read/other"),
        ("files:read/rewards", "files:write", "rewards", "files:write/rewards"),
        ("default", "files:read", None, "files:read"),
        ("files:write", "admin", None, "admin"),
    ],
)
def test_not_held(held: str, asked: str, namespace: str | None, named: str) -> None:
    with pytest.raises(Forbidden) as caught:
        permit(principal(held), asked, namespace)
    assert caught.value.permission == named


def test_grants_are_kept_by_their_names() -> None:
    grants = [*PERMISSIONS, *GROUPS, "files:read/rewards", "files:write/a-b_c"]
    assert parse_grants([f" {grant} " for grant in grants]) == set(grants)
    assert parse_grants([]) == frozenset()


def test_an_unknown_grant_is_told_what_there_is() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_grants(["files:delete"])
    for known in (*PERMISSIONS, *GROUPS, "files:read/NAMESPACE"):
        assert known in caught.value.message


GRANTS = st.frozensets(
    st.sampled_from([*PERMISSIONS, "files:read/a", "files:read/b", "files:write/a", "files:write/b"])
)


@given(one=GRANTS, other=GRANTS)
def test_an_intersection_grants_exactly_what_both_grant(one: frozenset[str], other: frozenset[str]) -> None:
    both = intersect(one, other)
    assert both == intersect(other, one)
    for permission in PERMISSIONS:
        for namespace in (None, "a", "b", "c"):
            asked = permission, namespace
            assert holds(both, *asked) == (holds(one, *asked) and holds(other, *asked)), asked


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("0", 0), ("1024", 1024), ("10MiB", 10 * 2**20), (" 5 GB ", 5 * 10**9), ("1kB", 1000), ("1KiB", 1024), ("7B", 7)],
)
def test_sizes(text: str, bytes: int) -> None:
    assert settings.size(text) == bytes


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("2 w", 1_209_600)]
)
def test_durations(text: str, seconds: int) -> None:
    assert settings.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("600/minute", "600/minute"),
        ("600/Minutes", "600/minute"),
        ("1 per second", "1/second"),
        ("100/10 seconds", "100/10 seconds"),
        ("5 / 2hours", "5/2 hours"),
        ("1000/1 day", "1000/day"),
    ],
)
def test_rates(text: str, normal: str) -> None:
    assert settings.rate(text) == normal


@pytest.mark.parametrize("text", ["-1", "1.5MiB", "10mib", "MiB", "1 PiB", "9" * 18 + "TiB", "1_000", "+1", "٣"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="10MiB"):
        settings.size(text)


@pytest.mark.parametrize("text", ["7", "0d", "-7d", "7 days", "1y", "999999999w", "", "٣d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="7d"):
        settings.duration(text)


@pytest.mark.parametrize(
    "text", ["600", "0/minute", "600/0 minutes", "600/fortnight", "/minute", "1/minute;2/hour", ""]
)
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        settings.rate(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "many", "1e3", "٣"])
def test_no_counts(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        settings.count(text)


@pytest.mark.parametrize("setting", settings.CORE, ids=lambda setting: setting.key)
def test_every_setting_is_explained_and_can_be_kept_as_json(setting: settings.CompanySetting[object]) -> None:
    assert setting.meaning
    assert json.loads(json.dumps(setting.default)) == setting.default
    with pytest.raises(ValueError, match=r"^'\?' .+\.$"):
        setting.parse("?")


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (settings.RATE_LIMIT, "none", None),
        (settings.KEY_RATE_LIMIT, "60/minute", "60/minute"),
        (settings.QUOTA_BYTES, "50GiB", 50 * 2**30),
        (settings.QUOTA_BYTES, "none", None),
        (settings.QUOTA_FILES, "None", None),
        (settings.RETENTION, "never", None),
        (settings.RETENTION, "7d", 604_800),
        (settings.LEGACY_MD5, "on", True),
        (settings.LEGACY_MD5, "no", False),
        (settings.TYPE_POLICY, "Lenient", "lenient"),
        (settings.JOB_CAP, "8", 8),
    ],
)
def test_what_a_setting_becomes(setting: settings.CompanySetting[object], text: str, value: object) -> None:
    assert setting.parse(text) == value


def test_an_api_may_have_a_retention_of_its_own() -> None:
    setting = settings.retention("conversation-files", timedelta(days=7))
    assert (setting.key, setting.default) == ("retention.conversation-files", 604_800)
    assert setting.parse("never") is None
    assert settings.retention("file-service", None).default is None


# --- audit ---------------------------------------------------------------------------------------


@pytest.mark.security(28)
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("report.pdf", "report.pdf"),
        ("a\r\nlogin ok", "a\\u000d\\u000alogin ok"),
        ("tab\there", "tab\\u0009here"),
        ("\0\x1b[2J\x7f\x85", "\\u0000\\u001b[2J\\u007f\\u0085"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("C:\\u000a", "C:\\\\u000a"),
        ("Übersicht 日本 😀", "Übersicht 日本 😀"),
    ],
)
def test_what_is_written_down_stays_on_its_line(text: str, written: str) -> None:
    assert escaped(text) == written


@pytest.mark.security(28)
@given(one=st.text(), other=st.text())
def test_two_texts_are_never_written_alike(one: str, other: str) -> None:
    assert "\n" not in escaped(one)
    assert escaped(one).isprintable() or " " in escaped(one) or not escaped(one).isascii()
    if one != other and max(len(escaped(one)), len(escaped(other))) < 1024:
        assert escaped(one) != escaped(other)


def test_a_row_says_who_what_and_how_it_ended() -> None:
    row = entry(principal(subject="anna\n"), "upload", "file\r", "ok", NOW, "x" * 5000)
    assert (row.company_id, row.actor, row.action, row.subject) == (1, "user:anna\\u000a", "upload", "file\\u000d")
    assert (row.outcome, row.at, row.address, row.trace_id) == ("ok", NOW, "192.0.2.1", "a" * 32)
    assert row.detail == "x" * 1024
    row = claimed(COMPANY, "user:\n", "login", "denied", NOW, address="192.0.2.1\n", trace_id=None)
    assert (row.actor, row.subject, row.address) == ("user:\\u000a", "user:\\u000a", "192.0.2.1\\u000a")
