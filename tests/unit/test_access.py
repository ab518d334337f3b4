"""Credentials in, principals out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from loadingdock.core.administration import operator
from loadingdock.core.credentials import digest
from loadingdock.core.errors import Forbidden, InvalidInput, RateLimited, Unauthenticated
from loadingdock.core.model.identity import PrincipalKind
from tests.unit.access_world import ADDRESS, World, world

SECOND = timedelta(seconds=1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.administration.add_user(made.operator, "anna", "pässword", ["files:upload"])
        yield made


# --- basic ---------------------------------------------------------------------------------------


async def test_a_user_is_known_by_login_and_password(house: World) -> None:
    principal = await house.access.basic("anna@acme", "pässword", address=ADDRESS, trace_id="a" * 32)
    assert principal.company.code == "acme"
    assert (principal.kind, principal.subject) == (PrincipalKind.USER, "anna")
    assert principal.permissions == {"files:upload"}
    assert (principal.address, principal.trace_id) == (ADDRESS, "a" * 32)


async def test_the_company_code_has_no_case(house: World) -> None:
    assert (await house.access.basic("anna@AcMe", "pässword", address=None)).company.code == "acme"


async def test_a_user_name_may_hold_an_at_sign(house: World) -> None:
    await house.administration.add_user(house.operator, "anna@example.com", "secret", [])
    assert (await house.access.basic("anna@example.com@acme", "secret", address=None)).subject == "anna@example.com"


async def test_one_name_and_password_from_every_keyboard(house: World) -> None:
    """Composed and decomposed forms are the same name and the same password."""
    await house.administration.add_user(house.operator, "Zoe\u0308", "se\u0301same", [])
    assert (await house.access.basic("Zo\u00eb@acme", "s\u00e9same", address=None)).subject == "Zo\u00eb"
    assert (await house.access.basic("Zoe\u0308@acme", "se\u0301same", address=None)).subject == "Zo\u00eb"


@pytest.mark.security(23)
@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("anna@acme", "wrong"),
        ("anna@acme", ""),
        ("anna@acme", "Pässword"),
        ("anna@acme", "pässword "),
        ("Anna@acme", "pässword"),
        ("berta@acme", "pässword"),
        ("anna@other", "pässword"),
        ("anna@nowhere", "pässword"),
        ("anna", "pässword"),
        ("@acme", "pässword"),
        ("anna@", "pässword"),
        ("@", ""),
        ("", ""),
        ("disabled@acme", "pässword"),
        ("anna@closed", "pässword"),
        ("anna\0@acme", "pässword"),
        ("anna@acme\0", "pässword"),
        ("anna@\u212bcme", "pässword"),
        ("\ud800@acme", "pässword"),
        ("a" * 100_000 + "@acme", "pässword"),
    ],
    ids=repr,
)
async def test_every_failure_has_one_answer_and_costs_the_same(house: World, login: str, password: str) -> None:
    admin = house.administration
    await admin.add_user(house.operator, "disabled", "pässword", [])
    await admin.disable_user(house.operator, "disabled")
    other = operator(await admin.add_company("other"))
    closed = operator(await admin.add_company("closed"))
    await admin.add_user(other, "berta", "pässword", [])
    await admin.add_user(closed, "anna", "pässword", [])
    await admin.disable_company(closed)
    before = house.passwords.times
    with pytest.raises(Unauthenticated) as caught:
        await house.access.basic(login, password, address=ADDRESS)
    assert caught.value.message == Unauthenticated().message
    assert caught.value.facts == {}
    assert house.passwords.times - before == 1


@pytest.mark.security(23)
@pytest.mark.parametrize("password", ["x" * 1025, "x" * 1024 * 1024, "ä" * 513])
async def test_a_long_password_is_refused_before_it_is_hashed(house: World, password: str) -> None:
    for login in ("anna@acme", "nobody@acme", "anna@nowhere"):
        with pytest.raises(InvalidInput) as caught:
            await house.access.basic(login, password, address=ADDRESS)
        assert caught.value.field == "password"
    assert house.passwords.times == 0


async def test_a_password_of_a_kibibyte_is_hashed(house: World) -> None:
    await house.administration.add_user(house.operator, "long", "x" * 1024, [])
    assert (await house.access.basic("long@acme", "x" * 1024, address=None)).subject == "long"


# --- the memory of what was right ----------------------------------------------------------------


async def test_right_credentials_are_hashed_once(house: World) -> None:
    for _ in range(5):
        await house.access.basic("anna@acme", "pässword", address=ADDRESS)
        house.clock.advance(8 * SECOND)
    assert house.passwords.times == 1


async def test_right_credentials_are_hashed_once_for_all_who_bring_them_at_one_moment(house: World) -> None:
    logins = (house.access.basic("anna@acme", "pässword", address=ADDRESS) for _ in range(200))
    assert {principal.subject for principal in await asyncio.gather(*logins)} == {"anna"}
    assert house.passwords.times == 1


async def test_after_an_hour_they_are_hashed_again(house: World) -> None:
    await house.access.basic("anna@acme", "pässword", address=ADDRESS)
    house.clock.advance(timedelta(hours=1))
    await house.access.basic("anna@acme", "pässword", address=ADDRESS)
    assert house.passwords.times == 2


async def test_the_address_and_trace_are_the_requests_own(house: World) -> None:
    await house.access.basic("anna@acme", "pässword", address=ADDRESS, trace_id="a" * 32)
    again = await house.access.basic("anna@acme", "pässword", address="192.0.2.1", trace_id="b" * 32)
    assert (again.address, again.trace_id) == ("192.0.2.1", "b" * 32)


@pytest.mark.security(23)
async def test_no_other_password_profits_from_the_memory(house: World) -> None:
    await house.access.basic("anna@acme", "pässword", address=ADDRESS)
    for login, password in (("anna@acme", "p"), ("anna@acmep", "ässword"), ("anna@acme\0", "pässword")):
        with pytest.raises(Unauthenticated):
            await house.access.basic(login, password, address=ADDRESS)


async def test_a_change_is_seen_at_once_in_this_process_and_in_seconds_by_others(house: World) -> None:
    other = house.another_process()
    for access in (house.access, other):
        await access.basic("anna@acme", "pässword", address=ADDRESS)
    await house.administration.set_grants(house.operator, "anna", ["files:read"])
    assert (await house.access.basic("anna@acme", "pässword", address=ADDRESS)).permissions == {"files:read"}
    assert (await other.basic("anna@acme", "pässword", address=ADDRESS)).permissions == {"files:upload"}
    house.clock.advance(10 * SECOND)
    assert (await other.basic("anna@acme", "pässword", address=ADDRESS)).permissions == {"files:read"}
    assert house.passwords.times == 2 + 1  # forgotten here, so hashed again; there the record was enough
    await other.close()


@pytest.mark.parametrize("deed", ["password", "disable user", "disable company"])
async def test_what_was_revoked_is_refused(house: World, deed: str) -> None:
    other = house.another_process()
    for access in (house.access, other):
        await access.basic("anna@acme", "pässword", address=ADDRESS)
    if deed == "password":
        await house.administration.set_password(house.operator, "anna", "another")
    elif deed == "disable user":
        await house.administration.disable_user(house.operator, "anna")
    else:
        await house.administration.disable_company(house.operator)
    with pytest.raises(Unauthenticated):
        await house.access.basic("anna@acme", "pässword", address=ADDRESS)
    house.clock.advance(10 * SECOND)
    with pytest.raises(Unauthenticated):
        await other.basic("anna@acme", "pässword", address=ADDRESS)
    await other.close()


async def test_what_was_revoked_while_it_was_verified_is_not_remembered(house: World) -> None:
    house.passwords.gate = asyncio.Event()
    login = asyncio.ensure_future(house.access.basic("anna@acme", "pässword", address=ADDRESS))
    await house.passwords.began.wait()
    await house.administration.disable_user(house.operator, "anna")
    house.passwords.gate.set()
    await login  # it had read its record before
    with pytest.raises(Unauthenticated):
        await house.access.basic("anna@acme", "pässword", address=ADDRESS)


# --- MD5, for tills that send it -----------------------------------------------------------------


def md5(password: str) -> str:
    return hashlib.md5(password.encode()).hexdigest()


async def test_the_md5_of_a_password_is_taken_where_the_company_says_so(house: World) -> None:
    await house.set({"legacy-md5": "on"})
    await house.administration.add_user(house.operator, "till", "secret", [])
    for sent in ("secret", md5("secret"), md5("secret").upper()):
        assert (await house.access.basic("till@acme", sent, address=ADDRESS)).subject == "till"
    with pytest.raises(Unauthenticated):
        await house.access.basic("till@acme", md5("other"), address=ADDRESS)


async def test_the_md5_is_refused_by_default_and_after_the_setting_is_off(house: World) -> None:
    with pytest.raises(Unauthenticated):
        await house.access.basic("anna@acme", md5("pässword"), address=ADDRESS)
    await house.set({"legacy-md5": "on"})
    await house.administration.add_user(house.operator, "till", "secret", [])
    await house.access.basic("till@acme", md5("secret"), address=ADDRESS)
    await house.set({"legacy-md5": "off"})
    with pytest.raises(Unauthenticated):
        await house.access.basic("till@acme", md5("secret"), address=ADDRESS)


async def test_a_password_may_look_like_an_md5(house: World) -> None:
    await house.administration.add_user(house.operator, "hex", "0123456789abcdef" * 2, [])
    assert (await house.access.basic("hex@acme", "0123456789abcdef" * 2, address=ADDRESS)).subject == "hex"


@pytest.mark.security(23)
async def test_what_looks_like_an_md5_costs_the_same_everywhere(house: World) -> None:
    await house.set({"legacy-md5": "on"})
    await house.administration.add_user(house.operator, "till", "secret", [])
    for login in ("till@acme", "anna@acme", "nobody@acme", "anna@nowhere"):
        before = house.passwords.times
        with pytest.raises(Unauthenticated):
            await house.access.basic(login, "f" * 32, address=ADDRESS)
        assert house.passwords.times - before == 2


# --- keys ----------------------------------------------------------------------------------------


async def test_a_key_is_known_by_its_digest(house: World) -> None:
    made = await house.administration.add_key(house.operator, "scanner", ["default"])
    principal = await house.access.api_key(made.secret, address=ADDRESS)
    assert (principal.kind, principal.subject, principal.company.code) == (PrincipalKind.KEY, made.key.id, "acme")
    assert principal.permissions == {"files:read/rewards", "files:write/rewards"}


@pytest.mark.security(26)
async def test_a_key_has_256_random_bits_and_is_not_kept(house: World) -> None:
    made = await house.administration.add_key(house.operator, "", [])
    prefix, _, secret = made.secret.partition("_")
    assert prefix == "ldk"
    assert len(secret) == 43  # of base64url, 6 bits each
    assert made.key.digest == digest(made.secret)
    assert made.secret not in repr(await house.administration.keys(house.operator))


@pytest.mark.parametrize("token", ["", "ldk_", "ldk_" + "A" * 43, "\0", "ü", "x" * 100_000, "\ud800"], ids=repr)
async def test_an_unknown_key_is_refused(house: World, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await house.access.api_key(token, address=ADDRESS)


async def test_a_revoked_key_is_refused_at_once_here_and_in_seconds_elsewhere(house: World) -> None:
    made = await house.administration.add_key(house.operator, "", [])
    other = house.another_process()
    for access in (house.access, other):
        await access.api_key(made.secret, address=ADDRESS)
    await house.administration.revoke_key(house.operator, made.key.id)
    with pytest.raises(Unauthenticated):
        await house.access.api_key(made.secret, address=ADDRESS)
    await other.api_key(made.secret, address=ADDRESS)
    house.clock.advance(10 * SECOND)
    with pytest.raises(Unauthenticated):
        await other.api_key(made.secret, address=ADDRESS)
    await other.close()


async def test_the_keys_of_a_disabled_company_are_refused(house: World) -> None:
    made = await house.administration.add_key(house.operator, "", [])
    await house.administration.disable_company(house.operator)
    with pytest.raises(Unauthenticated):
        await house.access.api_key(made.secret, address=ADDRESS)


# --- clients and tokens --------------------------------------------------------------------------


async def test_a_client_is_granted_what_it_has(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["transactions:post", "default"])
    grant = await house.access.grant(made.client.id, made.secret, None, None, address=ADDRESS)
    expected = {"transactions:post", "files:read/rewards", "files:write/rewards"}
    assert (grant.ttl, grant.company.code, grant.permissions) == (timedelta(minutes=5), "acme", expected)
    principal = await house.access.bearer(grant.token, address=ADDRESS)
    assert (principal.kind, principal.subject) == (PrincipalKind.CLIENT, made.client.id)
    assert principal.permissions == expected


@pytest.mark.security(26)
async def test_a_clients_id_and_secret_are_random_and_the_secret_is_not_kept(house: World) -> None:
    made = await house.administration.add_client(house.operator, [])
    assert len(made.client.id) == 32  # hex digits
    assert len(made.secret) == 43
    assert made.secret not in repr(await house.administration.clients(house.operator))


async def test_a_scope_narrows_the_grant(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read", "files:write"])
    for scope, granted in (
        ("files:read", {"files:read"}),
        ("files:read/rewards", {"files:read/rewards"}),
        ("default", {"files:read/rewards", "files:write/rewards"}),
        (" ", {"files:read", "files:write"}),
        ("", {"files:read", "files:write"}),
    ):
        grant = await house.access.grant(made.client.id, made.secret, None, scope, address=ADDRESS)
        assert grant.permissions == granted
        assert (await house.access.bearer(grant.token, address=ADDRESS)).permissions == granted


@pytest.mark.parametrize("scope", ["files:write", "files:read admin", "everything", "files:read/rewards x"])
async def test_a_scope_beyond_the_client_is_refused(house: World, scope: str) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    with pytest.raises(InvalidInput) as caught:
        await house.access.grant(made.client.id, made.secret, None, scope, address=ADDRESS)
    assert caught.value.field == "scope"


async def test_a_scope_is_made_of_known_permissions_even_for_an_administrator(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["admin"])
    grant = await house.access.grant(made.client.id, made.secret, None, "contacts:read", address=ADDRESS)
    assert grant.permissions == {"contacts:read"}
    with pytest.raises(InvalidInput) as caught:
        await house.access.grant(made.client.id, made.secret, None, "contacts:read everything", address=ADDRESS)
    assert caught.value.field == "scope"


async def test_a_client_names_the_company_where_it_serves_several(house: World) -> None:
    other = await house.administration.add_company("other")
    stranger = await house.administration.add_company("stranger")
    made = await house.administration.add_client(house.operator, ["files:read"], others=[other])
    for named, code in (("acme", "acme"), ("OTHER", "other"), (str(other.number), "other"), (" acme ", "acme")):
        grant = await house.access.grant(made.client.id, made.secret, named, None, address=ADDRESS)
        assert grant.company.code == code
        assert (await house.access.bearer(grant.token, address=ADDRESS)).company.code == code
    for refused in (None, "", "stranger", str(stranger.number), "nobody", "1", f"0{other.number}", "\0", "ü", "9" * 30):
        with pytest.raises(InvalidInput) as caught:
            await house.access.grant(made.client.id, made.secret, refused, None, address=ADDRESS)
        assert caught.value.field == "organization"


async def test_a_company_named_needlessly_must_still_be_the_right_one(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    await house.administration.add_company("other")
    await house.access.grant(made.client.id, made.secret, "acme", None, address=ADDRESS)
    with pytest.raises(InvalidInput):
        await house.access.grant(made.client.id, made.secret, "other", None, address=ADDRESS)


@pytest.mark.security(23)
async def test_every_wrong_client_has_one_answer(house: World) -> None:
    made = await house.administration.add_client(house.operator, [])
    gone = await house.administration.add_client(house.operator, [])
    await house.administration.revoke_client(house.operator, gone.client.id)
    for id, secret in (
        (made.client.id, "wrong"),
        (made.client.id, ""),
        (made.client.id, made.client.secret_digest),
        ("f" * 32, made.secret),
        ("", ""),
        ("\0", "\ud800"),
        ("ü", "ü"),
        (gone.client.id, gone.secret),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await house.access.grant(id, secret, None, None, address=None)
        assert caught.value.message == Unauthenticated().message


async def test_the_client_of_a_disabled_company_gets_nothing(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    await house.administration.disable_company(house.operator)
    for organization in (None, "acme"):
        with pytest.raises((Unauthenticated, InvalidInput)):
            await house.access.grant(made.client.id, made.secret, organization, None, address=ADDRESS)


@pytest.mark.security(24)
async def test_the_token_of_a_revoked_client_is_refused(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"], ttl=timedelta(hours=1))
    grant = await house.access.grant(made.client.id, made.secret, None, None, address=ADDRESS)
    other = house.another_process()
    for access in (house.access, other):
        await access.bearer(grant.token, address=ADDRESS)
    await house.administration.revoke_client(house.operator, made.client.id)
    with pytest.raises(Unauthenticated):
        await house.access.bearer(grant.token, address=ADDRESS)
    house.clock.advance(10 * SECOND)
    with pytest.raises(Unauthenticated):
        await other.bearer(grant.token, address=ADDRESS)


@pytest.mark.security(24)
async def test_the_memory_does_not_outlive_a_token(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"], ttl=3 * SECOND)
    grant = await house.access.grant(made.client.id, made.secret, None, None, address=ADDRESS)
    await house.access.bearer(grant.token, address=ADDRESS)
    house.clock.advance(3 * SECOND)
    with pytest.raises(Unauthenticated):
        await house.access.bearer(grant.token, address=ADDRESS)


@pytest.mark.security(24)
async def test_a_token_of_ours_for_a_company_that_its_client_does_not_serve_is_refused(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    other = await house.administration.add_company("other")
    for company in (str(other.number), "other", "nobody", ""):
        token = await house.tokens.issue(
            subject=made.client.id, company=company, permissions=["files:read"], ttl=timedelta(minutes=1)
        )
        with pytest.raises(Unauthenticated):
            await house.access.bearer(token, address=ADDRESS)


@pytest.mark.security(24)
async def test_a_token_grants_no_more_than_its_client_has(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    token = await house.tokens.issue(
        subject=made.client.id,
        company="acme",
        permissions=["admin", "files:write", "files:read/rewards"],
        ttl=timedelta(minutes=1),
    )
    principal = await house.access.bearer(token, address=ADDRESS)
    assert principal.permissions == {"files:read", "files:read/rewards"}


# --- limits --------------------------------------------------------------------------------------


async def test_limits_are_counted_by_subject_and_by_company(house: World) -> None:
    await house.set({"key-rate-limit": "2/minute", "rate-limit": "3/minute"})
    await house.administration.add_user(house.operator, "berta", "secret", [])
    anna = await house.access.basic("anna@acme", "pässword", address=ADDRESS)
    berta = await house.access.basic("berta@acme", "secret", address=ADDRESS)
    for _ in range(2):
        await house.access.limit(anna)
    with pytest.raises(RateLimited) as caught:
        await house.access.limit(anna)
    assert 1 <= caught.value.retry_after <= 60
    await house.access.limit(berta)  # what anna was refused was not counted against the company
    with pytest.raises(RateLimited):
        await house.access.limit(berta)


async def test_companies_do_not_share_limits(house: World) -> None:
    admin = house.administration
    other = await admin.set_company(operator(await admin.add_company("other")), {"rate-limit": "1/minute"})
    await house.set({"rate-limit": "1/minute"})
    await house.access.limit(operator(house.company))
    await house.access.limit(operator(other))
    with pytest.raises(RateLimited):
        await house.access.limit(operator(other))


async def test_without_limits_nothing_is_counted(house: World) -> None:
    for _ in range(1000):
        await house.access.limit(house.operator)


# --- rows ----------------------------------------------------------------------------------------


@pytest.mark.security(28)
async def test_a_login_leaves_one_row_and_not_one_per_request(house: World) -> None:
    for _ in range(5):
        await house.access.basic("anna@acme", "pässword", address=ADDRESS, trace_id="a" * 32)
        house.clock.advance(8 * SECOND)
    rows = [row for row in await house.audit() if row.action == "login"]
    assert [(row.actor, row.outcome, row.address, row.trace_id) for row in rows] == [
        ("user:anna", "ok", ADDRESS, "a" * 32)
    ]


@pytest.mark.security(28)
async def test_failures_leave_rows_where_the_company_is_known(house: World) -> None:
    for login in ("anna@acme", "nobody\r\n@acme", "anna@nowhere"):
        with pytest.raises(Unauthenticated):
            await house.access.basic(login, "wrong", address=ADDRESS, trace_id="b" * 32)
    rows = [row for row in await house.audit() if row.action == "login"]
    assert {(row.actor, row.outcome, row.address) for row in rows} == {
        ("user:anna", "denied", ADDRESS),
        ("user:nobody\\u000d\\u000a", "denied", ADDRESS),
    }


@pytest.mark.security(28)
async def test_tokens_and_denials_leave_rows(house: World) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    with pytest.raises(Unauthenticated):
        await house.access.grant(made.client.id, "wrong", None, None, address=ADDRESS)
    grant = await house.access.grant(made.client.id, made.secret, None, None, address=ADDRESS)
    principal = await house.access.bearer(grant.token, address=ADDRESS)
    with pytest.raises(Forbidden):
        house.access.demand(principal, "files:write")
    rows = {(row.action, row.outcome, row.subject, row.detail) for row in await house.audit()}
    actor = f"client:{made.client.id}"
    assert {
        ("login", "denied", actor, None),
        ("token", "ok", made.client.id, "files:read"),
        ("denial", "denied", "files:write", None),
    } <= rows


@pytest.mark.security(26)
async def test_no_row_and_no_log_holds_a_secret(house: World, caplog: pytest.LogCaptureFixture) -> None:
    made = await house.administration.add_client(house.operator, ["files:read"])
    key = await house.administration.add_key(house.operator, "", [])
    await house.access.api_key(key.secret, address=ADDRESS)
    grant = await house.access.grant(made.client.id, made.secret, None, None, address=ADDRESS)
    guesses = (
        house.access.basic("anna@acme", "tr0ub4dor", address=ADDRESS),
        house.access.grant(made.client.id, "tr0ub4dor", None, None, address=ADDRESS),
        house.access.api_key("tr0ub4dor", address=ADDRESS),
    )
    for guess in guesses:
        with pytest.raises(Unauthenticated) as caught:
            await guess
        assert "tr0ub4dor" not in f"{caught.value!r} {caught.value.facts}"
    written = repr(await house.audit()) + caplog.text
    for secret in ("tr0ub4dor", made.secret, key.secret, grant.token, "pässword"):
        assert secret not in written
