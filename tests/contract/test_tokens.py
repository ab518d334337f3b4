"""Our access tokens and those of outside issuers, each refused for one thing that is wrong with it."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.adapters.tokens import JwtTokens, OutsideIssuer
from loadingdock.core.errors import Unauthenticated, Unavailable
from loadingdock.core.model.identity import SigningKey
from loadingdock.core.ports.records import Unit
from loadingdock.testing.clock import SetClock
from loadingdock.testing.identity import MINUTE, TokensContract
from tests import sqlite

ISSUER = "https://files.example.com"
OUTSIDE = "https://login.example.org/"
AUDIENCE = "loadingdock"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    records = sqlite.opened(tmp_path / "records.sqlite3")
    yield records
    await records.close()


@pytest.fixture
def tokens(records: SqliteRecords, clock: SetClock) -> JwtTokens:
    return JwtTokens(records, clock, issuer=ISSUER)


class TestJwtTokens(TokensContract):
    pass


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """Signs whatever it is told to, as a forger would; `...` leaves a member out. A key of bytes is an HMAC's."""
    parts = ({name: value for name, value in part.items() if value is not ...} for part in (header, claims))
    message = ".".join(map(encoded, parts))
    if isinstance(key, bytes):
        signature = hmac.digest(key, message.encode(), header["alg"].replace("HS", "sha"))
    else:
        signature = JWSRegistry.algorithms[header["alg"]].sign(message.encode(), key)
    return f"{message}.{encoded(signature)}"


async def stored_keys(records: SqliteRecords) -> tuple[SigningKey, ...]:
    async def work(unit: Unit) -> tuple[SigningKey, ...]:
        return await unit.secrets.signing_keys()

    return await records.read(None, work)


# --- ours ----------------------------------------------------------------------------------------


@dataclass
class Forge:
    """Signs with our own key, so that each token is wrong in one thing only."""

    tokens: JwtTokens
    key: ECKey
    kid: str
    now: int

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        head = {"alg": "ES256", "typ": "at+jwt", "kid": self.kid, **(header or {})}
        body = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": "client-1",
            "client_id": "client-1",
            "org": "100606",
            "scope": "files:read",
            "iat": self.now,
            "exp": self.now + 60,
            "jti": "1",
            **claims,
        }
        return signed(head, body, key or self.key)

    async def refuses(self, token: str) -> None:
        with pytest.raises(Unauthenticated):
            await self.tokens.verify(token)


@pytest.fixture
async def forge(tokens: JwtTokens, records: SqliteRecords, clock: SetClock) -> Forge:
    await tokens.jwks()
    (key,) = await stored_keys(records)
    forge = Forge(tokens, ECKey.import_key(key.private_pem), key.id, int(clock.now().timestamp()))
    await tokens.verify(forge.token())
    return forge


@pytest.mark.security(24)
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example.com"},
        {"aud": ["https://other.example.com"]},
        {"aud": []},
        {"aud": ...},
        {"aud": {ISSUER: True}},
        {"aud": None},
        {"iss": "https://other.example.com"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"iss": ...},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"org": ...},
        {"org": 100606},
        {"scope": ...},
        {"scope": ["files:read"]},
    ],
    ids=str,
)
async def test_wrong_claims_are_refused(forge: Forge, claims: dict[str, Any]) -> None:
    await forge.refuses(forge.token(**claims))


@pytest.mark.security(24)
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["9999999999", 1.5e9, 9999999999.0, True, None, [], {}, 10**30, -(10**30)], ids=str)
async def test_times_are_whole_numbers(forge: Forge, name: str, value: object) -> None:
    await forge.refuses(forge.token(**{name: value}))


@pytest.mark.security(24)
@pytest.mark.parametrize(
    ("name", "offset"), [("exp", 0), ("exp", -1), ("exp", -(10**9)), ("iat", 61), ("nbf", 61), ("nbf", 10**9)]
)
async def test_times_out_of_bounds_are_refused(forge: Forge, name: str, offset: int) -> None:
    await forge.refuses(forge.token(**{name: forge.now + offset}))


@pytest.mark.parametrize(("name", "offset"), [("exp", 1), ("iat", 60), ("iat", -(10**6)), ("nbf", 60), ("nbf", 0)])
async def test_times_within_bounds_pass(forge: Forge, name: str, offset: int) -> None:
    await forge.tokens.verify(forge.token(**{name: forge.now + offset}))


@pytest.mark.security(24)
@pytest.mark.parametrize("name", ["exp", "iat"])
async def test_times_must_be_there(forge: Forge, name: str) -> None:
    await forge.refuses(forge.token(**{name: ...}))


@pytest.mark.security(24)
@pytest.mark.parametrize("type", ["JWT", "jwt", "id+jwt", "", "at+jwt ", None, 7, ["at+jwt"], ...], ids=str)
async def test_another_type_is_refused(forge: Forge, type: object) -> None:
    await forge.refuses(forge.token({"typ": type}))


@pytest.mark.parametrize("type", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_type_may_be_spelled_as_rfc_9068_allows(forge: Forge, type: str) -> None:
    await forge.tokens.verify(forge.token({"typ": type}))


@pytest.mark.security(24)
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "ES384", None, ...], ids=str)
async def test_another_algorithm_in_the_header_is_refused(forge: Forge, alg: object) -> None:
    _, payload, signature = forge.token().split(".")
    header = {"typ": "at+jwt", "kid": forge.kid} | ({} if alg is ... else {"alg": alg})
    for end in (signature, ""):
        await forge.refuses(f"{encoded(header)}.{payload}.{end}")


@pytest.mark.security(24)
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_no_shared_secret(forge: Forge, alg: str) -> None:
    """RFC 8725 2.1: the forger signs with an HMAC whose key is what everybody may know."""
    public = forge.key.as_dict(private=False)
    secrets = [
        forge.key.as_pem(private=False),
        forge.key.as_pem(private=False).strip(),
        json.dumps(public).encode(),
        base64.urlsafe_b64decode(public["x"] + "=="),
    ]
    for secret in secrets:
        await forge.refuses(forge.token({"alg": alg}, secret))


@pytest.mark.security(24)
async def test_a_key_that_the_token_brings_is_not_used(forge: Forge) -> None:
    own = ECKey.generate_key("P-256", {"kid": forge.kid})
    public = own.as_dict(private=False)
    await forge.refuses(forge.token(None, own))
    await forge.refuses(forge.token({"jwk": public}, own))
    await forge.refuses(forge.token({"jwk": public, "kid": ...}, own))
    await forge.refuses(forge.token({"jku": "https://attacker.example.com/jwks.json"}, own))
    await forge.refuses(forge.token({"x5u": "https://attacker.example.com/cert.pem"}, own))


@pytest.mark.security(24)
@pytest.mark.parametrize("kid", ["", "unknown", "../../dev/null", "' OR 1=1 --", None, 7, ["a"], ...], ids=str)
async def test_another_key_id_is_refused(forge: Forge, kid: object) -> None:
    await forge.refuses(forge.token({"kid": kid}))


@pytest.mark.security(24)
async def test_an_unknown_critical_header_is_refused(forge: Forge) -> None:
    await forge.refuses(forge.token({"crit": ["urgent"], "urgent": True}))


@pytest.mark.security(24)
@pytest.mark.parametrize("text", ["[]", "7", '"a"', "null", "{", '["alg"]', "[" * 3000], ids=lambda text: text[:8])
async def test_header_and_claims_are_objects(forge: Forge, text: str) -> None:
    header, payload, signature = forge.token().split(".")
    part = encoded(text.encode())
    await forge.refuses(f"{part}.{payload}.{signature}")
    await forge.refuses(f"{header}.{part}.{signature}")


async def test_several_processes_share_one_first_key(records: SqliteRecords, clock: SetClock) -> None:
    processes = [JwtTokens(records, clock, issuer=ISSUER) for _ in range(5)]
    issued = await asyncio.gather(
        *(tokens.issue(subject="client-1", company="1", permissions=(), ttl=MINUTE) for tokens in processes)
    )
    assert len(await stored_keys(records)) == 1
    for tokens in processes:
        for token in issued:
            await tokens.verify(token)


async def test_a_key_made_by_another_process_is_found(records: SqliteRecords, clock: SetClock) -> None:
    here, there = (JwtTokens(records, clock, issuer=ISSUER) for _ in range(2))
    await here.jwks()
    clock.advance(timedelta(seconds=2))
    await there.rotate()
    token = await there.issue(subject="client-1", company="1", permissions=(), ttl=MINUTE)
    await here.verify(token)


async def test_keys_that_verify_nothing_any_more_are_removed(records: SqliteRecords, clock: SetClock) -> None:
    tokens = JwtTokens(records, clock, issuer=ISSUER)
    await tokens.jwks()
    for _ in range(4):
        clock.advance(timedelta(hours=25))
        await tokens.rotate()
    assert len(await stored_keys(records)) == 2


@pytest.mark.security(26)
async def test_a_private_key_is_in_no_text(records: SqliteRecords, tokens: JwtTokens) -> None:
    await tokens.jwks()
    (key,) = await stored_keys(records)
    assert "PRIVATE" in key.private_pem
    assert "PRIVATE" not in repr(key)


# --- outside issuers -----------------------------------------------------------------------------


class _Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, KeyServer)
        server.requests += 1
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/jwks")
            self.end_headers()
            return
        self.send_response(server.status)
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class KeyServer(ThreadingHTTPServer):
    """An issuer's key set, served on loopback."""

    keys: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    requests: int = 0
    raw: bytes | None = None

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keys)

    @property
    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys.values()]}).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/jwks"


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "RSA"})


@pytest.fixture
def server(rsa: RSAKey) -> Iterator[KeyServer]:
    keys = {
        "EC": ECKey.generate_key("P-256", {"kid": "EC", "use": "sig"}),
        "RSA": rsa,
        "OKP": OKPKey.generate_key("Ed25519", {"kid": "OKP", "alg": "EdDSA"}),
    }
    with KeyServer(keys) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def trusted(jwks: str, **changes: Any) -> OutsideIssuer:
    entry: dict[str, Any] = {
        "issuer": OUTSIDE,
        "audience": AUDIENCE,
        "jwks": jwks,
        "permissions": frozenset({"files:read", "files:write"}),
        "company_claim": "tenant",
        **changes,
    }
    return OutsideIssuer(**entry)


@dataclass
class Outside:
    """An outside issuer that signs what it is told to."""

    server: KeyServer
    clock: SetClock
    records: SqliteRecords
    made: list[JwtTokens] = field(default_factory=list)

    def tokens(self, **changes: Any) -> JwtTokens:
        jwks = changes.pop("jwks", self.server.url)
        self.made.append(JwtTokens(self.records, self.clock, issuer=ISSUER, outside=[trusted(jwks, **changes)]))
        return self.made[-1]

    def token(
        self,
        kid: str = "EC",
        alg: str = "ES256",
        *,
        header: dict[str, Any] | None = None,
        key: Any = None,
        **claims: Any,
    ) -> str:
        now = int(self.clock.now().timestamp())
        body = {"iss": OUTSIDE, "aud": AUDIENCE, "sub": "anna", "tenant": "acme", "iat": now, "exp": now + 60, **claims}
        head = {"alg": alg, "typ": "at+jwt", "kid": kid, **(header or {})}
        return signed(head, body, key or self.server.keys[kid])


@pytest.fixture
async def outside(server: KeyServer, clock: SetClock, records: SqliteRecords) -> AsyncIterator[Outside]:
    outside = Outside(server, clock, records)
    yield outside
    for tokens in outside.made:
        await tokens.close()


@pytest.mark.parametrize(("kid", "alg"), [("EC", "ES256"), ("RSA", "RS256"), ("RSA", "PS256"), ("OKP", "EdDSA")])
async def test_a_trusted_issuers_token_is_taken(outside: Outside, kid: str, alg: str) -> None:
    claims = await outside.tokens().verify(outside.token(kid, alg))
    assert (claims.issuer, claims.subject, claims.company) == (OUTSIDE, "anna", "acme")
    assert claims.permissions == {"files:read", "files:write"}
    assert claims.expires_at == outside.clock.now() + MINUTE


@pytest.mark.security(24)
@pytest.mark.parametrize(
    ("kid", "alg"),
    [("EC", "ES384"), ("RSA", "RS512"), ("RSA", "PS384"), ("RSA", "ES256"), ("EC", "RS256"), ("EC", "none")],
)
async def test_an_algorithm_beside_the_list_or_the_key_is_refused(outside: Outside, kid: str, alg: str) -> None:
    _, payload, signature = outside.token(kid, "ES256" if kid == "EC" else "RS256").split(".")
    forged = f"{encoded({'alg': alg, 'typ': 'at+jwt', 'kid': kid})}.{payload}.{signature}"
    with pytest.raises(Unauthenticated):
        await outside.tokens().verify(forged)


@pytest.mark.security(24)
async def test_an_issuer_may_be_held_to_fewer_algorithms(outside: Outside) -> None:
    tokens = outside.tokens(algorithms=("ES256",))
    await tokens.verify(outside.token("EC", "ES256"))
    with pytest.raises(Unauthenticated):
        await tokens.verify(outside.token("RSA", "RS256"))


@pytest.mark.security(24)
@pytest.mark.parametrize("alg", ["HS256", "HS512"])
async def test_an_rsa_public_key_is_no_shared_secret(outside: Outside, rsa: RSAKey, alg: str) -> None:
    with pytest.raises(Unauthenticated):
        await outside.tokens().verify(outside.token("RSA", alg, key=rsa.as_pem(private=False)))


@pytest.mark.security(24)
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ISSUER},
        {"aud": ...},
        {"iss": "https://login.example.org"},
        {"iss": "https://evil.example.org/"},
        {"exp": "9999999999"},
        {"exp": ...},
        {"iat": ...},
        {"sub": ...},
        {"tenant": ...},
        {"tenant": ["acme"]},
        {"tenant": True},
        {"tenant": None},
    ],
    ids=str,
)
async def test_an_outside_token_with_wrong_claims_is_refused(outside: Outside, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await outside.tokens().verify(outside.token(**claims))


@pytest.mark.security(24)
async def test_an_outside_issuer_cannot_speak_for_us_nor_we_for_it(outside: Outside) -> None:
    tokens = outside.tokens()
    ours = outside.token(iss=ISSUER, aud=ISSUER, org="1", scope="admin")
    with pytest.raises(Unauthenticated):
        await tokens.verify(ours)
    await tokens.jwks()
    (key,) = await stored_keys(outside.records)
    own = ECKey.import_key(key.private_pem)
    with pytest.raises(Unauthenticated):
        await tokens.verify(outside.token(key=own, header={"kid": key.id}))


@pytest.mark.security(24)
async def test_another_type_is_taken_only_where_the_operator_says_so(outside: Outside) -> None:
    plain = outside.token(header={"typ": "JWT"})
    with pytest.raises(Unauthenticated):
        await outside.tokens().verify(plain)
    await outside.tokens(types=("at+jwt", "JWT")).verify(plain)
    with pytest.raises(Unauthenticated):
        await outside.tokens(types=("at+jwt", "JWT")).verify(outside.token(header={"typ": "id+jwt"}))


async def test_a_company_number_may_be_a_number(outside: Outside) -> None:
    assert (await outside.tokens().verify(outside.token(tenant=100606))).company == "100606"


async def test_an_issuer_may_speak_for_one_company_alone(outside: Outside) -> None:
    tokens = outside.tokens(company_claim=None, company="acme")
    assert (await tokens.verify(outside.token(tenant="other"))).company == "acme"


@pytest.mark.parametrize(
    ("claim", "granted"),
    [
        ("openid files:read", {"files:read"}),
        (["files:write", "contacts:load"], {"files:write"}),
        (["files:read", 7, None], {"files:read"}),
        ("default", {"files:read/rewards", "files:write/rewards"}),
        ("admin", {"files:read", "files:write"}),
        ("", set()),
        ([], set()),
    ],
)
async def test_a_claim_narrows_what_the_issuer_may_grant(outside: Outside, claim: object, granted: set[str]) -> None:
    tokens = outside.tokens(permissions_claim="scope")
    assert (await tokens.verify(outside.token(scope=claim))).permissions == granted


@pytest.mark.parametrize("claim", [..., None, 7, {"files:read": True}], ids=str)
async def test_a_claim_of_permissions_that_is_none_is_refused(outside: Outside, claim: object) -> None:
    with pytest.raises(Unauthenticated):
        await outside.tokens(permissions_claim="scope").verify(outside.token(scope=claim))


async def test_keys_may_lie_in_a_file(outside: Outside, tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(outside.server.body)
    await outside.tokens(jwks=str(path)).verify(outside.token())
    assert outside.server.requests == 0


async def test_keys_are_fetched_once_for_many_tokens(outside: Outside) -> None:
    tokens = outside.tokens()
    await asyncio.gather(*(tokens.verify(outside.token()) for _ in range(20)))
    assert outside.server.requests == 1
    outside.clock.advance(timedelta(minutes=11))
    await tokens.verify(outside.token())
    assert outside.server.requests == 2


async def test_a_new_key_is_looked_for_but_not_at_every_forgery(outside: Outside) -> None:
    tokens = outside.tokens()
    await tokens.verify(outside.token())
    outside.server.keys["new"] = ECKey.generate_key("P-256", {"kid": "new"})
    outside.clock.advance(timedelta(seconds=31))
    await tokens.verify(outside.token("new"))
    assert outside.server.requests == 2
    for place in range(50):
        with pytest.raises(Unauthenticated):
            await tokens.verify(outside.token("EC", header={"kid": f"forged {place}"}))
    assert outside.server.requests == 2


async def test_a_withdrawn_key_is_refused_when_the_keys_are_fetched_again(outside: Outside) -> None:
    tokens = outside.tokens()
    key = outside.server.keys["EC"]
    await tokens.verify(outside.token())
    del outside.server.keys["EC"]
    outside.clock.advance(timedelta(minutes=11))
    with pytest.raises(Unauthenticated):
        await tokens.verify(outside.token(key=key))


async def test_an_issuer_that_is_down_is_believed_for_a_day(outside: Outside) -> None:
    tokens = outside.tokens()
    await tokens.verify(outside.token())
    outside.server.status = 500
    outside.clock.advance(timedelta(hours=23))
    await tokens.verify(outside.token())
    outside.clock.advance(timedelta(hours=2))
    with pytest.raises(Unavailable) as caught:
        await tokens.verify(outside.token())
    assert caught.value.what == "token issuer"
    outside.server.status = 200
    outside.clock.advance(MINUTE)
    await tokens.verify(outside.token())


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, {"kty": "oct"}]}', b"x" * 600_000],
    ids=len,
)
async def test_what_is_no_key_set_makes_the_issuer_unavailable(outside: Outside, raw: bytes) -> None:
    outside.server.raw = raw
    with pytest.raises(Unavailable):
        await outside.tokens().verify(outside.token())


@pytest.mark.security(24)
async def test_a_redirect_is_not_followed(outside: Outside) -> None:
    with pytest.raises(Unavailable):
        await outside.tokens(jwks=outside.server.url.replace("jwks", "redirect")).verify(outside.token())
    assert outside.server.requests == 1


@pytest.mark.security(24)
async def test_keys_that_are_too_weak_or_for_something_else_are_passed_over(outside: Outside, tmp_path: Path) -> None:
    small = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": encoded(b"\xc1" * 128)}  # 1024 bits; only its size matters
    encrypting = outside.server.keys["EC"].as_dict(private=False) | {"kid": "enc", "use": "enc"}
    shared = {"kty": "oct", "kid": "shared", "k": "c2hhcmVkc2hhcmVkc2hhcmVkc2hhcmVkc2hhcmVk"}
    good = outside.server.keys["OKP"].as_dict(private=False)
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [small, encrypting, shared, {"kty": "new"}, good]}))
    tokens = outside.tokens(jwks=str(path))
    await tokens.verify(outside.token("OKP", "EdDSA"))
    with pytest.raises(Unauthenticated):
        await tokens.verify(outside.token("EC", header={"kid": "enc"}))
    with pytest.raises(Unauthenticated):
        await tokens.verify(outside.token("RSA", "RS256", header={"kid": "weak"}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"issuer": ""}, "name"),
        ({"issuer": "a|b"}, "name"),
        ({"audience": ""}, "audience"),
        ({"company_claim": None}, "company_claim or company"),
        ({"company": "acme"}, "company_claim or company"),
        ({"algorithms": ("HS256",)}, "HS256"),
        ({"algorithms": ("none",)}, "none"),
        ({"jwks": "http://login.example.org/jwks"}, "https"),
        ({"permissions": frozenset({"everything"})}, "everything"),
    ],
)
def test_an_issuer_that_cannot_be_trusted_so_is_refused_at_the_start(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        trusted(changes.pop("jwks", "https://login.example.org/jwks"), **changes)


async def test_our_own_name_cannot_be_an_outside_issuers(records: SqliteRecords, clock: SetClock) -> None:
    with pytest.raises(ValueError, match="own name"):
        JwtTokens(records, clock, issuer=ISSUER, outside=[trusted("keys.json", issuer=ISSUER)])
