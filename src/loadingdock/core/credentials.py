"""Credentials: their forms, the memory of those that were right, and the brake on guessing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from loadingdock.core.errors import InvalidInput, RateLimited
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.ratelimits import RateLimiter

PASSWORD_LIMIT = 1024  # bytes; hashing must not become a way to keep the service busy
NAME_LIMIT = 255  # bytes
LONGEST_TTL = timedelta(hours=24)  # of an access token, and so of a retired signing key
KEY_PREFIX = "ldk_"
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_MD5_HEX = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)


def normal_password(password: str) -> str:
    """The form that is hashed: NFC, as RFC 8265 4.2 asks, so that one password is the same from every keyboard.
    Raises InvalidInput for one that is over 1 KiB or not text, before any hashing."""
    if len(password) > PASSWORD_LIMIT:
        raise InvalidInput(f"A password has at most {PASSWORD_LIMIT} bytes.", field="password")
    normal = unicodedata.normalize("NFC", password)
    try:
        encoded = normal.encode()
    except UnicodeEncodeError:
        raise InvalidInput("The password is not valid Unicode text.", field="password") from None
    if len(encoded) > PASSWORD_LIMIT:
        raise InvalidInput(f"A password has at most {PASSWORD_LIMIT} bytes.", field="password")
    return normal


def normal_name(name: str) -> str | None:
    """The form in which user names are kept and looked up: NFC. None for what cannot be a name: empty, over 255
    bytes, with a colon (RFC 7617 2) or with characters that do not print."""
    if len(name) > 4 * NAME_LIMIT:
        return None  # however it is composed
    normal = unicodedata.normalize("NFC", name)
    if not normal or ":" in normal or not normal.isprintable() or len(normal.encode()) > NAME_LIMIT:
        return None
    return normal


def normal_code(text: str) -> str | None:
    """The form in which company codes are kept and compared: lower case. None for what cannot be one: up to 63 ASCII
    letters, digits, `_` and `-`, a letter or digit first."""
    return text.lower() if _CODE.fullmatch(text) else None


def company_number(text: str) -> int | None:
    """A company's number as it is written: decimal, without leading zeros."""
    return int(text) if _NUMBER.fullmatch(text) else None


def new_password(password: str) -> str:
    """The form of a password that is to be set. Raises InvalidInput as above, and for an empty one."""
    if not password:
        raise InvalidInput("The password is empty.", field="password")
    return normal_password(password)


def md5_hex(password: str) -> str:
    """What tills of the vendor send instead of the password. MD5 is their wire format here, not our protection: it
    is hashed with argon2 like any password."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


def legacy_form(sent: str) -> str | None:
    """What was sent in the form in which `md5_hex` writes it; None if it cannot be an MD5."""
    return sent.lower() if _MD5_HEX.fullmatch(sent) else None


def digest(secret: str) -> str:
    """How secrets of 256 random bits are kept: nothing can be guessed from their SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_api_key() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_client() -> tuple[str, str]:
    """(id of 128 random bits, secret of 256)."""
    return secrets.token_hex(16), secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Verified:
    """Credentials that were right. Until `fresh_until` they are taken as they are; until `known_until` it is enough
    that the record still holds the same `proof` (the stored hash they matched), which spares the hashing."""

    principal: Principal
    proof: str
    fresh_until: datetime
    known_until: datetime


class Memory:
    """Verified credentials under a keyed hash. The key lives as long as the process, so what lies here is of no use
    to whoever reads it from elsewhere. Holds the `size` most recently used."""

    def __init__(self, *, fresh: timedelta, known: timedelta, size: int = 10_000) -> None:
        self._key = secrets.token_bytes(32)
        self._fresh = fresh
        self._known = known
        self._size = size
        self._entries: OrderedDict[bytes, Verified] = OrderedDict()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()  # those that somebody waits for
        self.changes = 0  # how often something was forgotten

    def seal(self, *parts: str) -> bytes:
        """The keyed hash of credentials; their lengths are bound, so that no two spellings meet."""
        state = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            state.update(len(data).to_bytes(8, "big") + data)
        return state.digest()

    def turn(self, seal: bytes) -> asyncio.Lock:
        """Held while these credentials are verified: of many requests that bring the same ones at one moment, the first
        does the work and the others find it done."""
        turn = self._turns.get(seal)
        if turn is None:
            turn = self._turns[seal] = asyncio.Lock()
        return turn

    def get(self, seal: bytes, now: datetime) -> Verified | None:
        verified = self._entries.get(seal)
        if verified is None or now >= verified.known_until:
            return None
        self._entries.move_to_end(seal)
        return verified

    def put(
        self, seal: bytes, principal: Principal, proof: str, now: datetime, *, seen: int, until: datetime | None = None
    ) -> None:
        """`seen` is what `changes` was before the record was read: what changed since is not remembered as it was.
        `until`: credentials that end by themselves are not kept longer."""
        if seen != self.changes:
            return
        known_until = now + self._known if until is None else min(now + self._known, until)
        self._entries[seal] = Verified(principal, proof, min(now + self._fresh, known_until), known_until)
        self._entries.move_to_end(seal)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def renew(self, seal: bytes, verified: Verified, principal: Principal, now: datetime, *, seen: int) -> None:
        """The record was looked at again and still holds."""
        if seen != self.changes:
            return
        fresh_until = min(now + self._fresh, verified.known_until)
        self._entries[seal] = replace(verified, principal=principal, fresh_until=fresh_until)

    def drop(self, seal: bytes) -> None:
        self._entries.pop(seal, None)

    def forget(self, subject: str | None = None) -> None:
        """Everything of that subject (user name, key id or client id) in any company; None: everything."""
        self.changes += 1
        for seal in [seal for seal, known in self._entries.items() if subject in (None, known.principal.subject)]:
            del self._entries[seal]


class Throttle:
    """Counts failures by account and by address. What was right before is never throttled, so that nobody can lock
    another out who has just been here."""

    def __init__(self, limiter: RateLimiter, *, account: str, address: str) -> None:
        self._limiter = limiter
        self._account = account
        self._address = address

    async def check(self, account: str | None, address: str | None) -> None:
        """Raises RateLimited while either of the two has failed too often."""
        await self._ask(self._limiter.peek, account, address)

    async def fail(self, account: str | None, address: str | None) -> None:
        """Counts one failure. Raises RateLimited if it is one too many: of guesses made at the same moment no more
        get an answer than of guesses made one after the other."""
        await self._ask(self._limiter.hit, account, address)

    async def succeed(self, account: str) -> None:
        """The account starts afresh. The address does not: one good account must not pay for guessing at others."""
        await self._limiter.reset(self._account, "failures", "account", digest(account))

    async def _ask(self, question: Callable[..., Awaitable[int]], account: str | None, address: str | None) -> None:
        waits = []
        if account is not None:
            waits.append(await question(self._account, "failures", "account", digest(account)))
        if address is not None:
            waits.append(await question(self._address, "failures", "address", _network(address)))
        if any(waits):
            raise RateLimited(retry_after=max(waits))


def _network(address: str) -> str:
    """Who is counted as one: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer gets."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return digest(address)
    if ip.version == 4:
        return str(ip)
    return str(ipaddress.ip_network((ip, 64), strict=False))
