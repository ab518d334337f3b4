"""What the installation signs with."""

from __future__ import annotations

from datetime import datetime

from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.values import micros, moment, moment_or_none
from loadingdock.core.errors import AlreadyExists
from loadingdock.core.model.identity import SigningKey

_SECRET = "secret"


class SecretRows:
    __slots__ = ("_db",)

    def __init__(self, db: Executor) -> None:
        self._db = db

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        await self._db.hold("signing_keys_turn")
        rows = await self._db.all("signing_keys")
        return tuple(
            SigningKey(id, pem, moment(created), moment_or_none(retired)) for id, pem, created, retired in rows
        )

    async def add_signing_key(self, key: SigningKey) -> None:
        if not await self._db.run(
            "signing_key_add",
            id=key.id,
            private_pem=key.private_pem,
            created_at=micros(key.created_at),
            retired_at=micros(key.retired_at),
        ):
            raise AlreadyExists(f"The signing key {key.id}")

    async def retire_signing_key(self, id: str, at: datetime) -> None:
        await self._db.run("signing_key_retire", id=id, at=micros(at))

    async def remove_signing_key(self, id: str) -> None:
        await self._db.run("signing_key_remove", id=id)

    async def installation_secret(self) -> bytes | None:
        row = await self._db.one("installation_get", name=_SECRET)
        return None if row is None else bytes(row[0])

    async def set_installation_secret(self, secret: bytes) -> bytes:
        await self._db.run("installation_set", name=_SECRET, value=secret)
        kept = await self.installation_secret()
        return secret if kept is None else kept
