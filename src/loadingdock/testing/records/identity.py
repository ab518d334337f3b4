"""Companies, who acts for them, and what the installation signs with."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.identity import ApiKey, OAuthClient, SigningKey, User
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, NOW, Store, StoreContract, new_id


def a_key(company: Company) -> ApiKey:
    return ApiKey(new_id(), company.id, secrets.token_hex(32), "till 7", frozenset({"files:read"}), NOW)


def a_client(*companies: Company) -> OAuthClient:
    ids = tuple(company.id for company in companies)
    return OAuthClient(new_id(), ids, "digest", frozenset({"files:write"}), timedelta(seconds=300), NOW)


def a_user(company: Company, name: str = "anna") -> User:
    return User(company.id, name, "$argon2id$...", frozenset({"files:read", "files:write"}), NOW)


class IdentityContract(StoreContract):
    async def test_a_company_is_found_by_all_its_names(self, store: Store) -> None:
        async def work(unit: Unit) -> None:
            added = await unit.companies.add("acme", "Acme Ltd", 100606, NOW)
            assert added == Company(added.id, "acme", 100606, "Acme Ltd", NOW)
            for found in (
                await unit.companies.by_id(added.id),
                await unit.companies.by_code("acme"),
                await unit.companies.by_number(100606),
            ):
                assert found == added
            assert await unit.companies.by_code("ACME") is None
            assert await unit.companies.by_number(2**70) is None
            assert await unit.companies.by_id(-(2**70)) is None

        await store.write(None, work)

    async def test_a_new_company_holds_nothing(self, store: Store, company: Company) -> None:
        assert await store.read(company, lambda unit: unit.ledger.get()) == Usage(0, 0)

    @pytest.mark.parametrize(("code", "number"), [("acme", 2), ("other", 1)])
    async def test_code_and_number_are_taken_once(self, store: Store, code: str, number: int) -> None:
        await store.write(None, lambda unit: unit.companies.add("acme", "Acme", 1, NOW))
        with pytest.raises(AlreadyExists):
            await store.write(None, lambda unit: unit.companies.add(code, "Other", number, NOW))
        assert len(await store.read(None, lambda unit: unit.companies.list())) == 1

    async def test_one_of_many_gets_the_code(self, store: Store) -> None:
        async def add(number: int) -> Company:
            return await store.write(None, lambda unit: unit.companies.add("acme", "Acme", number, NOW))

        answers = await asyncio.gather(*(add(number) for number in range(20)), return_exceptions=True)
        assert sum(isinstance(answer, Company) for answer in answers) == 1
        assert sum(isinstance(answer, AlreadyExists) for answer in answers) == 19

    async def test_a_company_is_saved(self, store: Store, company: Company) -> None:
        saved = replace(company, name="Über", settings={"quota": 5, "types": ["a", "b"]}, disabled_at=NOW + HOUR)
        await store.write(None, lambda unit: unit.companies.save(saved))
        assert await store.read(None, lambda unit: unit.companies.by_id(company.id)) == saved
        await store.write(None, lambda unit: unit.companies.save(company))
        assert await store.read(None, lambda unit: unit.companies.list()) == (company,)

    async def test_users(self, store: Store, company: Company) -> None:
        anna, bert = a_user(company), replace(a_user(company, "bert@example.com"), md5_hash="$argon2id$md5")

        async def work(unit: Unit) -> None:
            assert await unit.users.get("anna") is None
            await unit.users.add(bert)
            await unit.users.add(anna)
            with pytest.raises(AlreadyExists):
                await unit.users.add(replace(anna, password_hash="other"))
            assert await unit.users.list() == (anna, bert)
            changed = replace(anna, password_hash="new", permissions=frozenset(), disabled_at=NOW, md5_hash="m")
            await unit.users.save(changed)
            assert await unit.users.get("anna") == changed
            assert await unit.users.get("bert@example.com") == bert
            with pytest.raises(NotFound):
                await unit.users.save(a_user(company, "nobody"))

        await store.write(company, work)

    async def test_keys(self, store: Store, company: Company) -> None:
        old, new = a_key(company), replace(a_key(company), created_at=NOW + HOUR)

        async def work(unit: Unit) -> None:
            await unit.keys.add(old)
            await unit.keys.add(new)
            with pytest.raises(AlreadyExists):
                await unit.keys.add(replace(a_key(company), id=old.id))
            assert await unit.keys.list() == (new, old)
            assert await unit.keys.get(old.id) == old
            assert await unit.keys.revoke(old.id, NOW + HOUR)
            assert not await unit.keys.revoke(old.id, NOW + HOUR + HOUR)
            assert not await unit.keys.revoke("none", NOW)
            assert await unit.keys.get(old.id) == replace(old, revoked_at=NOW + HOUR)

        await store.write(company, work)

    async def test_a_digest_names_its_company(self, store: Store, company: Company) -> None:
        key = a_key(company)
        await store.write(company, lambda unit: unit.keys.add(key))
        other = await store.company("other")
        for asking in (None, other, company):
            assert await store.read(asking, lambda unit: unit.keys.by_digest(key.digest)) == key
            assert await store.read(asking, lambda unit: unit.keys.by_digest("0" * 64)) is None

    async def test_clients(self, store: Store, company: Company) -> None:
        other, third = await store.company("other"), await store.company("third")
        client, shared = a_client(company), replace(a_client(company, third, other), created_at=NOW + HOUR)

        async def work(unit: Unit) -> None:
            await unit.clients.add(client)
            await unit.clients.add(shared)
            with pytest.raises(AlreadyExists):
                await unit.clients.add(replace(client, secret_digest="other"))
            assert await unit.clients.list() == (shared, client)

        await store.write(company, work)
        for asking in (None, other, company):
            assert await store.read(asking, lambda unit: unit.clients.find(shared.id)) == shared
        assert await store.read(other, lambda unit: unit.clients.list()) == (shared,)
        # Only its home takes a client's rights away.
        assert not await store.write(other, lambda unit: unit.clients.revoke(shared.id, NOW))
        assert await store.write(company, lambda unit: unit.clients.revoke(shared.id, NOW))
        assert not await store.write(company, lambda unit: unit.clients.revoke(shared.id, NOW))
        assert await store.read(None, lambda unit: unit.clients.find(shared.id)) == replace(shared, revoked_at=NOW)

    async def test_a_client_of_an_unknown_company_is_not_made(self, store: Store, company: Company) -> None:
        client = a_client(company, replace(company, id=987654321))
        with pytest.raises(NotFound):
            await store.write(company, lambda unit: unit.clients.add(client))
        assert await store.read(None, lambda unit: unit.clients.find(client.id)) is None

    async def test_signing_keys(self, store: Store) -> None:
        old, new = SigningKey("old", "PEM 1", NOW), SigningKey("new", "PEM 2", NOW + HOUR)

        async def work(unit: Unit) -> None:
            await unit.secrets.add_signing_key(old)
            await unit.secrets.add_signing_key(new)
            assert await unit.secrets.signing_keys() == (new, old)
            await unit.secrets.retire_signing_key("old", NOW + HOUR)
            assert await unit.secrets.signing_keys() == (new, replace(old, retired_at=NOW + HOUR))
            await unit.secrets.remove_signing_key("old")
            assert await unit.secrets.signing_keys() == (new,)

        await store.write(None, work)

    async def test_the_first_installation_secret_is_kept(self, store: Store) -> None:
        assert await store.read(None, lambda unit: unit.secrets.installation_secret()) is None
        secrets_made = [secrets.token_bytes(32) for _ in range(8)]

        async def set(secret: bytes) -> bytes:
            return await store.write(None, lambda unit: unit.secrets.set_installation_secret(secret))

        kept = await asyncio.gather(*map(set, secrets_made))
        assert len({*kept}) == 1
        assert kept[0] in secrets_made
        assert await store.read(None, lambda unit: unit.secrets.installation_secret()) == kept[0]
