"""AWS Signature Version 4 in its query form, for URLs of our own: any S3 tool can make and check them.

The rules are AWS's ("Authenticating Requests: Using Query Parameters", S3 API reference), taken strictly: a request
is verified as the bytes that came, or refused. Nothing is decoded, sorted out or guessed that could be read in two
ways, so what was verified is what is then used.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes, urlsplit

from loadingdock.core.errors import Forbidden, LinkExpired
from loadingdock.core.ports.presigning import SignedRequest

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
LONGEST = timedelta(days=7)
SKEW = timedelta(minutes=5)  # how far ahead of our clock the signer's may be

_SIGNATURE = "X-Amz-Signature"
_REQUIRED = frozenset(
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", _SIGNATURE}
)
# S3 takes the digest of the body as a parameter too (SDKs "hoist" it from the header); it is signed like any other.
_HOISTED = frozenset({"x-amz-checksum-sha256"})
_SIGNER = re.compile(r"[A-Za-z0-9._~-]{1,1024}", re.ASCII)
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_EXPIRES = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_UNRESERVED = re.compile(rb"[A-Za-z0-9_.~-]*")
_PREFIX = re.compile(r"(/[A-Za-z0-9_.~-]+)*", re.ASCII)
_SPACES = re.compile(r"[ \t]+")


class SigV4Presigner:
    """Port Presigner. `secret` is the installation's; each signer has its own key derived from it. `public_url` is
    how clients reach the service: scheme, host and any path before ours."""

    def __init__(self, secret: bytes, public_url: str, *, region: str = "us-east-1") -> None:
        if len(secret) < 32:
            raise ValueError("The installation secret has at least 32 bytes.")
        parts = urlsplit(public_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{public_url!r} is no public URL; write it like https://files.example.com.")
        self._secret = secret
        self._region = region
        self._host = _host(parts.scheme, parts.hostname, parts.port)
        self._prefix = parts.path.rstrip("/")
        if not _PREFIX.fullmatch(self._prefix):
            raise ValueError(f"The path of {public_url!r} has characters that would need encoding.")
        self._base = f"{parts.scheme}://{self._host}"

    def secret_of(self, signer: str) -> str:
        """The secret access key that goes with this access key id."""
        return hmac.digest(self._secret, b"presign\0" + signer.encode(), "sha256").hex()

    def url(
        self,
        method: str,
        path: str,
        *,
        signer: str,
        expires_in: timedelta,
        now: datetime,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """Raises ValueError for what could not be verified afterwards: a path with empty or dot segments, a life
        of less than a second or more than seven days, parameters that are the signature's own."""
        seconds = math.ceil(expires_in.total_seconds())
        full = self._prefix + path
        raw_path = quote(full, safe="/-_.~")
        if not _SIGNER.fullmatch(signer) or not path.startswith("/") or not _plain(full):
            raise ValueError(f"{path!r} cannot be signed by {signer!r}.")
        if not 1 <= seconds <= LONGEST.total_seconds():
            raise ValueError(f"A signed URL lives for 1 s to 7 days, not for {expires_in}.")
        own = {} if query is None else dict(query)
        if any(_is_amazon(key) and key not in _HOISTED for key in own):
            raise ValueError("Parameters that begin with X-Amz- belong to the signature.")
        signed = {name.lower(): value for name, value in (headers or {}).items()} | {"host": self._host}
        if not all(_HEADER_NAME.fullmatch(name) and value.isprintable() for name, value in signed.items()):
            raise ValueError("A signed header has a name and a value that can be sent.")
        date = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        parameters = own | {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{signer}/{self._scope(date)}",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": ";".join(sorted(signed)),
        }
        pairs = [f"{_encoded(key)}={_encoded(value)}" for key, value in parameters.items()]
        signature = self._signature(method, raw_path, pairs, signed, signer, date)
        return f"{self._base}{raw_path}?{'&'.join(pairs)}&{_SIGNATURE}={signature}"

    def verify(
        self,
        method: str,
        raw_path: bytes,
        raw_query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        now: datetime,
    ) -> SignedRequest:
        """Raises Forbidden("link") for every deviation, LinkExpired for a valid link past its time."""
        path = _decoded(raw_path, safe="/-_.~")
        pairs, query = _parameters(raw_query)
        if not _plain(path) or not path.startswith(self._prefix + "/"):
            raise Forbidden("link")
        given = {name: query.pop(name, "") for name in _REQUIRED}
        if any(_is_amazon(name) and name not in _HOISTED for name in query):
            raise Forbidden("link")
        signer, _, scope = given["X-Amz-Credential"].partition("/")
        date, expires = given["X-Amz-Date"], given["X-Amz-Expires"]
        if (
            given["X-Amz-Algorithm"] != ALGORITHM
            or not _SIGNER.fullmatch(signer)
            or not _DATE.fullmatch(date)
            or scope != self._scope(date)
            or not _EXPIRES.fullmatch(expires)
            or int(expires) > LONGEST.total_seconds()
        ):
            raise Forbidden("link")
        signed = _signed_headers(given["X-Amz-SignedHeaders"], headers)
        unsigned = [pair for pair in pairs if not pair.startswith(f"{_SIGNATURE}=")]
        signature = self._signature(method, raw_path.decode("ascii"), unsigned, signed, signer, date)
        if not hmac.compare_digest(signature.encode(), _bytes(given[_SIGNATURE])):
            raise Forbidden("link")
        try:
            signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            expires_at = signed_at + timedelta(seconds=int(expires))
        except (ValueError, OverflowError):
            raise Forbidden("link") from None
        if signed_at > now + SKEW:
            raise Forbidden("link")
        if now >= expires_at:
            raise LinkExpired("The link has expired; request a new one.")
        return SignedRequest(method, path.removeprefix(self._prefix), signer, expires_at, query, frozenset(signed))

    def _scope(self, date: str) -> str:
        return f"{date[:8]}/{self._region}/s3/aws4_request"

    def _signature(
        self, method: str, raw_path: str, pairs: Sequence[str], headers: Mapping[str, str], signer: str, date: str
    ) -> str:
        names = sorted(headers)
        request = "\n".join(
            [
                method,
                raw_path,
                "&".join(f"{key}={value}" for key, value in sorted(_split(pair) for pair in pairs)),
                *(f"{name}:{_trimmed(headers[name])}" for name in names),
                "",
                ";".join(names),
                UNSIGNED,
            ]
        )
        scope = self._scope(date)
        text = "\n".join([ALGORITHM, date, scope, hashlib.sha256(_bytes(request)).hexdigest()])
        key = f"AWS4{self.secret_of(signer)}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


def _bytes(text: str) -> bytes:
    """Header values are bytes that need not be UTF-8; they are carried through text unchanged."""
    return text.encode("utf-8", "surrogateescape")


def _trimmed(value: str) -> str:
    """AWS's Trimall: no space at the ends, single ones between."""
    return _SPACES.sub(" ", value.strip(" \t"))


def _host(scheme: str, name: str, port: int | None) -> str:
    """As clients send it: without the scheme's own port, an IPv6 address in brackets."""
    host = f"[{name}]" if ":" in name else name
    return host if port is None or port == {"http": 80, "https": 443}[scheme] else f"{host}:{port}"


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _decoded(raw: bytes, safe: str) -> str:
    """The text, provided that AWS's encoding of it is exactly these bytes: one text, one spelling. That leaves no
    `%2F` in a path, no lower-case hex, no needlessly encoded letter, no `+`."""
    if _UNRESERVED.fullmatch(raw):
        return raw.decode("ascii")  # most parameters are, and are spared the long way
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Forbidden("link") from None
    if quote(text, safe=safe).encode() != raw:
        raise Forbidden("link")
    return text


def _plain(path: str) -> bool:
    """Absolute, without empty, `.` and `..` segments and without control characters: no one can take it for another
    path by tidying it up."""
    segments = path.split("/")
    return (
        segments[0] == ""
        and not any(segment in {"", ".", ".."} for segment in segments[1:])
        and not any(character < " " or character == "\x7f" for character in path)
    )


def _parameters(raw_query: bytes) -> tuple[list[str], dict[str, str]]:
    """The pairs as they stand, and decoded. Each has its `=`, its canonical spelling and a name of its own."""
    pairs: list[str] = []
    query: dict[str, str] = {}
    for pair in raw_query.split(b"&"):
        key, equals, value = pair.partition(b"=")
        name = _decoded(key, safe="-_.~")
        if not name or not equals or name in query:
            raise Forbidden("link")
        query[name] = _decoded(value, safe="-_.~")
        pairs.append(pair.decode("ascii"))
    return pairs, query


def _split(pair: str) -> tuple[str, str]:
    key, _, value = pair.partition("=")
    return key, value


def _is_amazon(name: str) -> bool:
    return name.lower().startswith("x-amz-")


def _signed_headers(names: str, headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The signed headers' values. Refuses a list that is not in canonical form or lacks `host`, a signed header that
    is absent or comes twice, any `x-amz-` header that is not signed, and the payload modes in which the body is not
    the body (chunks with signatures of their own, trailers)."""
    listed = names.split(";")
    if (
        "host" not in listed
        or listed != sorted(set(listed))
        or not all(_HEADER_NAME.fullmatch(name) for name in listed)
    ):
        raise Forbidden("link")
    values: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "surrogateescape")
        if name in listed:
            if name in values:
                raise Forbidden("link")
            values[name] = value
        elif name.startswith("x-amz-"):
            raise Forbidden("link")
        if (name == "x-amz-content-sha256" and value != UNSIGNED) or (
            name == "content-encoding" and "aws-chunked" in value.lower()
        ):
            raise Forbidden("link")
    if len(values) != len(listed):
        raise Forbidden("link")
    return values
