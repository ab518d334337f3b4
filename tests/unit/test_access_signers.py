"""Who answers for a signed link, for as long as they may."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.presign import SigV4Presigner
from loadingdock.core.administration import operator
from loadingdock.core.errors import Forbidden
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.permissions import permit
from loadingdock.core.signers import Signer, read_signer, signer_id
from loadingdock.testing.clock import SetClock
from loadingdock.testing.presigning import HOUR, NOW, WireRequest
from tests.unit.access_world import ADDRESS, World, world

OUTSIDE = "https://login.example.org/"
COMPANY = Company(1, "acme", 100_606, "Acme", SetClock().now())
KINDS = [PrincipalKind.USER, PrincipalKind.KEY, PrincipalKind.CLIENT, PrincipalKind.TOKEN, PrincipalKind.SYSTEM]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, outside={OUTSIDE: frozenset({"files:read"})}) as made:
        yield made


async def user(house: World) -> Principal:
    await house.administration.add_user(house.operator, "anna ü@example.com", "secret", ["files:write"])
    return await house.access.basic("anna ü@example.com@acme", "secret", address=ADDRESS)


async def key(house: World) -> Principal:
    made = await house.administration.add_key(house.operator, "", ["files:write"])
    return await house.access.api_key(made.secret, address=ADDRESS)


async def client(house: World) -> Principal:
    made = await house.administration.add_client(house.operator, ["files:write", "files:read"])
    grant = await house.access.grant(made.client.id, made.secret, None, "files:write", address=ADDRESS)
    return await house.access.bearer(grant.token, address=ADDRESS)


@pytest.mark.parametrize("who", [user, key, client])
async def test_a_signer_is_found_again_with_the_permissions_of_now(
    house: World, who: Callable[[World], Awaitable[Principal]]
) -> None:
    principal = await who(house)
    signer = await house.access.signer(principal)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", signer)
    found = await house.access.principal_of_signer(signer)
    assert (found.company, found.kind, found.subject) == (principal.company, principal.kind, principal.subject)
    permit(found, "files:write")


async def disable_user(house: World) -> None:
    await house.administration.disable_user(house.operator, "anna ü@example.com")


async def revoke_key(house: World) -> None:
    (made,) = await house.administration.keys(house.operator)
    await house.administration.revoke_key(house.operator, made.id)


async def revoke_client(house: World) -> None:
    (made,) = await house.administration.clients(house.operator)
    await house.administration.revoke_client(house.operator, made.id)


async def disable_company(house: World) -> None:
    await house.administration.disable_company(house.operator)


@pytest.mark.security(22)
@pytest.mark.parametrize(
    ("who", "deed"),
    [
        (user, disable_user),
        (key, revoke_key),
        (client, revoke_client),
        (user, disable_company),
        (key, disable_company),
        (client, disable_company),
    ],
)
async def test_a_link_dies_with_its_signer_at_once_in_every_process(
    house: World, who: Callable[[World], Awaitable[Principal]], deed: Callable[[World], Awaitable[None]]
) -> None:
    signer = await house.access.signer(await who(house))
    other = house.another_process()
    await other.principal_of_signer(signer)
    await deed(house)
    for access in (house.access, other):
        with pytest.raises(Forbidden) as caught:
            await access.principal_of_signer(signer)
        assert caught.value.permission == "link"


@pytest.mark.security(22)
async def test_a_link_dies_with_its_signers_right(house: World) -> None:
    signer = await house.access.signer(await user(house))
    await house.administration.set_grants(house.operator, "anna ü@example.com", ["files:read"])
    found = await house.another_process().principal_of_signer(signer)
    with pytest.raises(Forbidden):
        permit(found, "files:write")


async def test_an_outside_issuers_subject_signs_as_long_as_the_issuer_is_trusted(house: World) -> None:
    principal = Principal(house.company, PrincipalKind.TOKEN, f"{OUTSIDE}|anna|1", frozenset({"files:read"}))
    signer = await house.access.signer(principal)
    assert await house.access.principal_of_signer(signer) == principal
    with pytest.raises(Forbidden):
        await house.another_process().principal_of_signer(signer)


async def test_the_service_itself_may_sign(house: World) -> None:
    signer = await house.access.signer(operator(house.company, "worker"))
    assert await house.access.principal_of_signer(signer) == operator(house.company, "worker")


@pytest.mark.parametrize("subject", ["a" * 600, ""])
async def test_who_cannot_be_named_in_a_link_cannot_sign(house: World, subject: str) -> None:
    with pytest.raises(Forbidden):
        await house.access.signer(Principal(house.company, PrincipalKind.TOKEN, subject, frozenset()))


async def test_the_holder_of_a_link_signs_nothing(house: World) -> None:
    with pytest.raises(Forbidden):
        await house.access.signer(replace(house.operator, kind=PrincipalKind.LINK))


@pytest.mark.security(22)
async def test_a_signer_is_nobody_in_another_company(house: World) -> None:
    """The same user name and key id under another company's number."""
    principal = await user(house)
    other = await house.administration.add_company("other")
    with pytest.raises(Forbidden):
        await house.access.principal_of_signer(signer_id(replace(principal, company=other)))
    made = await key(house)
    with pytest.raises(Forbidden):
        await house.access.principal_of_signer(signer_id(replace(made, company=other)))


async def test_a_company_code_that_looks_like_a_number_is_not_that_number(house: World) -> None:
    await house.administration.add_company("424242")
    with pytest.raises(Forbidden):
        await house.access.principal_of_signer("424242.system.b3BlcmF0b3I")


@pytest.mark.parametrize(
    "signer",
    [
        "",
        ".",
        "100606",
        "100606.user",
        "100606.user.",
        "100606.admin.YQ",
        "100606.link.YQ",
        "0100606.user.YQ",
        "-1.user.YQ",
        "9999999999999999999.user.YQ",
        "100606.user.Y",
        "100606.user.YR",
        "100606.user.YQ==",
        "100606.user._w",
        "100606.user.YQ/x",
        "100606.user.YQ\n",
        "٣.user.YQ",
    ],
)
def test_what_we_do_not_write_is_no_signer(signer: str) -> None:
    with pytest.raises(ValueError, match="no signer"):
        read_signer(signer)


@given(
    number=st.integers(100_000, 999_999_999),
    kind=st.sampled_from(KINDS),
    subject=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80),
)
def test_every_signer_is_read_as_it_was_written(number: int, kind: PrincipalKind, subject: str) -> None:
    principal = Principal(replace(COMPANY, number=number), kind, subject, frozenset())
    signer = signer_id(principal)
    assert read_signer(signer) == Signer(number, kind, subject)
    presigner = SigV4Presigner(bytes(32), "https://files.example.com")
    url = presigner.url("GET", "/a", signer=signer, expires_in=HOUR, now=NOW)
    assert WireRequest.of("GET", url).verify(presigner, NOW + timedelta(minutes=1)).signer == signer
