"""What an S3 store says when it cannot do as asked, in the errors of the core: the sentence for the operator names
the store and what to change.

Codes: "Error responses", Amazon S3 API reference; XMinioStorageFull is MinIO's, QuotaExceeded is Ceph's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from obstore.exceptions import BaseError

from loadingdock.adapters.blobs.s3.place import Place
from loadingdock.core.errors import DockError, NotFound, StorageFull, Unavailable

_FULL = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"})
_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidSecurity"})
_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
)
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,100})</Code>")
_STATUS = re.compile(r"\b(?:status(?: code)?:?|Client error with status|Server error:? )\s*([1-5]\d\d)\b", re.I)
_BUCKET_REGION = re.compile(r"<(?:Region|Endpoint)>([A-Za-z0-9.-]{1,200})</")
# What OpenSSL, rustls and the resolvers call it when there is no connection.
_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED|InvalidCertificate")
_VERIFIED = re.compile(r"certificate verify failed: ([^(]{1,200}?) \(_ssl")
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|InvalidContentType|InvalidMessage")
_UNKNOWN_HOST = re.compile(r"gaierror|dns error")


class NoSuchRange(Exception):
    """No byte of the object is in the range that was asked for, which says nothing of whether there is one."""


def code_of(text: str) -> str:
    """The error code in an answer's XML; empty where there is none."""
    match = _CODE.search(text)
    return match[1] if match else ""


def refusal(place: Place, status: int, text: str, doing: str) -> DockError:
    """What an answer other than the hoped-for means. `text` is its body, `doing` the S3 action that was tried."""
    code = code_of(text)
    if status == 507 or code in _FULL:
        return StorageFull(f"store: {place}: it answered {status} {code}".rstrip())
    return Unavailable("store", why=f"{place}: {_advice(place, status, code, text, doing)}")


def _advice(place: Place, status: int, code: str, text: str, doing: str) -> str:
    if code == "NoSuchBucket":
        return f"there is no bucket {place.bucket}; create it, or change store_url"
    if code == "RequestTimeTooSkewed":
        return "this machine's clock and the store's are too far apart; set both with NTP"
    if code in _REGION or status in {301, 307}:
        where = _BUCKET_REGION.search(text)
        hint = f" ({where[1]})" if where else ""
        return f"the bucket is not in region {place.region}{hint}; change store_region or store_endpoint"
    if code in _KEYS or status == 401:
        return f"the keys are refused ({code or status}); check store_access_key and store_secret_key"
    if status == 403 and not code:  # the answer to a HEAD has no words
        return f"the keys are refused or may not {doing}; check store_access_key and what it is allowed"
    if status == 403:
        return f"these keys may not {doing} ({code}); allow it for {place.path_of_prefix}/*"
    if status == 400 and "HTTPS" in text and place.endpoint.startswith("http://"):
        return "it speaks TLS at that port; begin store_endpoint with https://"
    asked = f", asked to encrypt with {place.encryption} (store_encryption)" if place.encrypts(doing) else ""
    return f"it answered {status} {code}".rstrip() + f" to {doing}{asked}; see the store's own log"


def unreachable(place: Place, error: BaseException) -> Unavailable:
    virtual = ", or set store_addressing to path" if place.virtual_hosted else ""
    return Unavailable("store", why=f"{place}: {cause(error, place.base, 'store_endpoint', virtual)}")


def cause(error: BaseException, base: str, setting: str, instead: str = "") -> str:
    """Why there is no answer at the URL `base`, which `setting` says, and what to change; `instead` of the name."""
    text = f"{type(error).__name__}: {error}"
    if _UNTRUSTED.search(text):
        found = _VERIFIED.search(text)
        reason = f" ({found[1]})" if found else ""
        return (
            f"its certificate is not trusted{reason}; set store_ca to the authority's (PEM), or name the host in"
            f" {setting} as the certificate does"
        )
    if _NO_TLS.search(text):
        return f"it does not speak TLS at that port; correct the port in {setting}, or begin it with http://"
    if _UNKNOWN_HOST.search(text):
        return f"the name {urlsplit(base).hostname} is not known here; correct {setting} or the DNS{instead}"
    first = text.partition("\n")[0]  # obstore appends pages
    return f"no answer ({first}); check {setting}, the network and the store"


@contextmanager
def store_errors(place: Place, doing: str) -> Iterator[None]:
    """Turns what obstore raises into the errors that leave a store."""
    try:
        yield
    except FileNotFoundError as error:
        if code_of(str(error)) == "NoSuchBucket":
            raise refusal(place, 404, str(error), doing) from error
        raise NotFound("blob") from error
    except BaseError as error:
        text = str(error)
        status = _STATUS.search(text)
        if status is None and not _CODE.search(text):
            raise unreachable(place, error) from error
        if status is not None and status[1] == "416":
            raise NoSuchRange from error
        raise refusal(place, int(status[1]) if status else 0, text, doing) from error
