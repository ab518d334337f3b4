"""Companies, users, keys and clients: who may make them, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from loadingdock.core.administration import operator
from loadingdock.core.errors import AlreadyExists, DockError, Forbidden, InvalidInput, NotFound, Unauthenticated
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.settings import MAX_SIZE, QUOTA_FILES, RATE_LIMIT, UNSCANNABLE
from tests.unit.access_world import World, world


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def principal(house: World, *permissions: str) -> Principal:
    return Principal(house.company, PrincipalKind.USER, "anna", frozenset(permissions))


# --- companies -----------------------------------------------------------------------------------


async def test_a_company_has_a_code_and_a_random_number(house: World) -> None:
    made = [await house.administration.add_company(f"company-{place}") for place in range(10)]
    numbers = {company.number for company in made}
    assert len(numbers) == 10
    assert all(100_000 <= number <= 999_999_999 for number in numbers)
    assert sorted(numbers) != [company.number for company in made]  # not counting up; 1 in 3.6 million by chance
    assert {company.code for company in await house.administration.companies()} >= {company.code for company in made}


@pytest.mark.parametrize("code", ["a", "0", "7-eleven", "a_b-c", "x" * 63])
async def test_codes_within_the_grammar(house: World, code: str) -> None:
    assert (await house.administration.add_company(code)).code == code


@pytest.mark.parametrize(
    "code", ["", "-a", "_a", "a b", "a@b", "a.b", "a/b", "ä", "x" * 64, "a\n", "a\0", "٣", "\u212a"]
)
async def test_codes_outside_of_it(house: World, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.administration.add_company(code)
    assert caught.value.field == "code"


@pytest.mark.parametrize("name", ["x" * 256, "a\nb", "\u202e"])
async def test_names_that_no_company_can_have(house: World, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.administration.add_company("other", name)
    assert caught.value.field == "name"


async def test_codes_have_no_case(house: World) -> None:
    assert (await house.administration.add_company("BigCo", "Big Company")).code == "bigco"
    assert (await house.administration.company("BIGCO")).name == "Big Company"
    with pytest.raises(AlreadyExists):
        await house.administration.add_company("bigCO")


async def test_a_code_is_never_another_companys_number(house: World) -> None:
    with pytest.raises(AlreadyExists):
        await house.administration.add_company(str(house.company.number))


async def test_an_unknown_company_is_not_found(house: World) -> None:
    with pytest.raises(NotFound):
        await house.administration.company("nobody")


async def test_settings_are_read_kept_and_put_back(house: World) -> None:
    company = await house.set({"max-size": "10MiB", "quota-files": "100", "rate-limit": " 600 per minute "})
    assert (company.get(MAX_SIZE), company.get(QUOTA_FILES), company.get(RATE_LIMIT)) == (10 * 2**20, 100, "600/minute")
    assert (await house.administration.company("acme")).settings == company.settings
    company = await house.set({"max-size": "", "quota-files": "none"})
    assert "max-size" not in company.settings
    assert company.get(MAX_SIZE) == MAX_SIZE.default
    assert company.get(QUOTA_FILES) is None
    assert company.get(RATE_LIMIT) == "600/minute"


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"colour": "red"}, "colour", "quota-bytes"),
        ({"max-size": "10MiB", "unscannable": "perhaps"}, "unscannable", "reject, accept"),
        ({"rate-limit": "often"}, "rate-limit", "600/minute"),
    ],
)
async def test_a_wrong_setting_sets_nothing_and_says_what_would_be_right(
    house: World, values: dict[str, str], field: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence) as caught:
        await house.set(values)
    assert caught.value.field == field
    company = await house.administration.company("acme")
    assert company.settings == {}
    assert company.get(UNSCANNABLE) == "reject"


async def test_settings_set_at_the_same_moment_are_all_kept(house: World) -> None:
    await asyncio.gather(
        *(house.set({key: "5"}) for key in ("quota-files", "max-size", "job-cap", "max-pixels", "quota-bytes"))
    )
    assert len((await house.administration.company("acme")).settings) == 5


async def test_a_company_can_be_disabled_and_enabled(house: World) -> None:
    await house.administration.add_user(house.operator, "anna", "secret", [])
    await house.administration.disable_company(house.operator)
    with pytest.raises(Unauthenticated):
        await house.access.basic("anna@acme", "secret", address=None)
    await house.administration.enable_company(house.operator)
    await house.access.basic("anna@acme", "secret", address=None)


# --- who may -------------------------------------------------------------------------------------

DEEDS: dict[str, Callable[[World, Principal], Awaitable[object]]] = {
    "add user": lambda house, who: house.administration.add_user(who, "berta", "secret", []),
    "users": lambda house, who: house.administration.users(who),
    "set password": lambda house, who: house.administration.set_password(who, "carla", "secret"),
    "set grants": lambda house, who: house.administration.set_grants(who, "carla", ["admin"]),
    "disable user": lambda house, who: house.administration.disable_user(who, "carla"),
    "enable user": lambda house, who: house.administration.enable_user(who, "carla"),
    "add key": lambda house, who: house.administration.add_key(who, "", []),
    "keys": lambda house, who: house.administration.keys(who),
    "revoke key": lambda house, who: house.administration.revoke_key(who, "0" * 32),
    "add client": lambda house, who: house.administration.add_client(who, []),
    "clients": lambda house, who: house.administration.clients(who),
    "revoke client": lambda house, who: house.administration.revoke_client(who, "0" * 32),
}
OPERATORS: dict[str, Callable[[World, Principal], Awaitable[object]]] = {
    "set company": lambda house, who: house.administration.set_company(who, {"quota-bytes": "none"}),
    "disable company": lambda house, who: house.administration.disable_company(who),
    "enable company": lambda house, who: house.administration.enable_company(who),
    "client of several": lambda house, who: house.administration.add_client(who, [], others=[house.company]),
}


@pytest.mark.security(25)
@pytest.mark.parametrize("deed", DEEDS)
async def test_only_administrators_may(house: World, deed: str) -> None:
    await house.administration.add_user(house.operator, "carla", "secret", [])
    before = await house.audit()
    every_other = ("files:upload", "files:read", "files:write", "contacts:load", "contacts:read", "transactions:post")
    with pytest.raises(Forbidden) as caught:
        await DEEDS[deed](house, principal(house, *every_other))
    assert caught.value.permission == "admin"
    assert await house.audit() == before


@pytest.mark.security(25)
@pytest.mark.parametrize("deed", OPERATORS)
async def test_only_the_operator_may(house: World, deed: str) -> None:
    with pytest.raises(Forbidden):
        await OPERATORS[deed](house, principal(house, "admin"))


@pytest.mark.security(25)
async def test_an_administrator_sees_and_changes_only_the_own_company(house: World) -> None:
    admin = house.administration
    other = operator(await admin.add_company("other"))
    await admin.add_user(other, "berta", "secret", [])
    key = await admin.add_key(other, "", [])
    client = await admin.add_client(other, [])
    here = principal(house, "admin")
    assert (await admin.users(here), await admin.keys(here), await admin.clients(here)) == ((), (), ())
    foreign: list[tuple[Awaitable[object], Awaitable[object]]] = [
        (admin.set_password(here, "berta", "x"), admin.set_password(here, "nobody", "x")),
        (admin.set_grants(here, "berta", ["admin"]), admin.set_grants(here, "nobody", ["admin"])),
        (admin.disable_user(here, "berta"), admin.disable_user(here, "nobody")),
        (admin.revoke_key(here, key.key.id), admin.revoke_key(here, "0" * 32)),
        (admin.revoke_client(here, client.client.id), admin.revoke_client(here, "0" * 32)),
    ]
    for theirs, unknown in foreign:
        answers = []
        for deed in (theirs, unknown):
            with pytest.raises(NotFound) as caught:
                await deed
            answers.append((type(caught.value), caught.value.message))
        assert answers[0] == answers[1]
    await house.access.basic("berta@other", "secret", address=None)
    await house.access.api_key(key.secret, address=None)


# --- users, keys, clients ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["anna", "anna@example.com", "Anna Ü", "日本", "x" * 255, "a/b", "'; DROP TABLE users"]
)
async def test_user_names(house: World, name: str) -> None:
    await house.administration.add_user(house.operator, name, "secret", [])
    assert [user.name for user in await house.administration.users(house.operator)] == [name]
    assert (await house.access.basic(f"{name}@acme", "secret", address=None)).subject == name


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\0", "x" * 256, "ä" * 128, "a\u202eb", "\ud800", "x" * 100_000])
async def test_names_that_no_user_can_have(house: World, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.administration.add_user(house.operator, name, "secret", [])
    assert caught.value.field == "name"


@pytest.mark.parametrize("password", ["", "x" * 1025, "\ud800"])
async def test_passwords_that_no_user_can_have(house: World, password: str) -> None:
    await house.administration.add_user(house.operator, "anna", "secret", [])
    for deed in (
        house.administration.add_user(house.operator, "berta", password, []),
        house.administration.set_password(house.operator, "anna", password),
    ):
        with pytest.raises(InvalidInput) as caught:
            await deed
        assert caught.value.field == "password"


async def test_a_user_exists_once_in_a_company(house: World) -> None:
    await house.administration.add_user(house.operator, "Zo\u00eb", "secret", [])
    with pytest.raises(AlreadyExists):
        await house.administration.add_user(house.operator, "Zoe\u0308", "secret", [])
    other = operator(await house.administration.add_company("other"))
    await house.administration.add_user(other, "Zo\u00eb", "secret", [])


async def test_a_disabled_user_can_be_enabled(house: World) -> None:
    await house.administration.add_user(house.operator, "anna", "secret", [])
    first = (await house.administration.disable_user(house.operator, "anna")).disabled_at
    house.clock.advance(timedelta(days=1))
    assert (await house.administration.disable_user(house.operator, "anna")).disabled_at == first
    await house.administration.enable_user(house.operator, "anna")
    await house.access.basic("anna@acme", "secret", address=None)


@pytest.mark.parametrize(
    "grant", ["", "everything", "files", "files:read/", "files:read/A", "admin/x", "contacts:load/x"]
)
async def test_what_cannot_be_granted(house: World, grant: str) -> None:
    for deed in (
        house.administration.add_user(house.operator, "anna", "secret", [grant]),
        house.administration.add_key(house.operator, "", ["files:read", grant]),
        house.administration.add_client(house.operator, [grant]),
    ):
        with pytest.raises(InvalidInput) as caught:
            await deed
        assert caught.value.field == "grant"


@pytest.mark.parametrize("label", ["x" * 256, "a\nb", "\u202e"])
async def test_labels_that_no_key_can_have(house: World, label: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.administration.add_key(house.operator, label, [])
    assert caught.value.field == "label"


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-5), timedelta(days=1, seconds=1)])
async def test_lives_that_no_token_can_have(house: World, ttl: timedelta) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.administration.add_client(house.operator, [], ttl=ttl)
    assert caught.value.field == "ttl"


async def test_a_revoked_key_or_client_cannot_be_revoked_again(house: World) -> None:
    key = await house.administration.add_key(house.operator, "", [])
    client = await house.administration.add_client(house.operator, [])
    await house.administration.revoke_key(house.operator, key.key.id)
    await house.administration.revoke_client(house.operator, client.client.id)
    for deed in (
        house.administration.revoke_key(house.operator, key.key.id),
        house.administration.revoke_client(house.operator, client.client.id),
    ):
        with pytest.raises(NotFound):
            await deed


@pytest.mark.security(26)
async def test_there_is_no_default_account(house: World) -> None:
    assert await house.administration.users(house.operator) == ()
    assert await house.administration.keys(house.operator) == ()
    assert await house.administration.clients(house.operator) == ()


# --- what is written down ------------------------------------------------------------------------


@pytest.mark.security(28)
async def test_every_deed_leaves_its_row_in_the_same_unit(house: World) -> None:
    admin = house.administration
    await house.set({"max-size": "1MiB"})
    await admin.add_user(house.operator, "anna", "secret", ["files:read"])
    await admin.set_password(house.operator, "anna", "other")
    await admin.set_grants(house.operator, "anna", ["admin"])
    await admin.disable_user(house.operator, "anna")
    await admin.enable_user(house.operator, "anna")
    key = await admin.add_key(house.operator, "scanner", ["default"])
    await admin.revoke_key(house.operator, key.key.id)
    client = await admin.add_client(house.operator, [])
    await admin.revoke_client(house.operator, client.client.id)
    await admin.disable_company(house.operator)
    rows = [(row.action, row.subject, row.detail) for row in reversed(await house.audit())]
    assert rows == [
        ("company.add", "acme", None),
        ("company.set", "acme", "max-size=1MiB"),
        ("user.add", "anna", "files:read"),
        ("user.password", "anna", None),
        ("user.grant", "anna", "admin"),
        ("user.disable", "anna", None),
        ("user.enable", "anna", None),
        ("key.add", key.key.id, "default"),
        ("key.revoke", key.key.id, None),
        ("client.add", client.client.id, ""),
        ("client.revoke", client.client.id, None),
        ("company.disable", "acme", None),
    ]
    assert {(row.actor, row.outcome) for row in await house.audit()} == {("system:operator", "ok")}


@pytest.mark.security(28)
async def test_a_deed_that_failed_leaves_none(house: World) -> None:
    await house.administration.add_user(house.operator, "anna", "secret", [])
    before = await house.audit()
    for deed in (
        house.administration.add_user(house.operator, "anna", "secret", []),
        house.administration.set_password(house.operator, "nobody", "secret"),
        house.administration.revoke_key(house.operator, "nothing"),
        house.administration.add_company("acme"),
    ):
        with pytest.raises(DockError):
            await deed
    assert await house.audit() == before
