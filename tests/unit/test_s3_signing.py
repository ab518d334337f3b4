"""What we sign is what AWS's own signer signs, and where an S3 store is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.blobs.s3 import signing
from loadingdock.adapters.blobs.s3.place import Credentials, Place, parse, provider
from loadingdock.adapters.blobs.s3.troubles import refusal
from loadingdock.core.errors import StorageFull, Unavailable

NAMES = st.text("abcXYZ-_.~ /+=&%é", min_size=1, max_size=12)
QUERIES = st.dictionaries(NAMES, st.text("abcXYZ-_.~ /+=&%é", max_size=12), max_size=4)
TOKENS = st.none() | st.text("abc/+=", min_size=1, max_size=20)
URL = "https://s3.example.com:9000/bucket/2026/blob~1"


def _theirs(token: str | None) -> BotocoreCredentials:
    return BotocoreCredentials("KEY", "secret/+", token)


@given(query=QUERIES, token=TOKENS, payload=st.binary(max_size=20))
def test_headers_are_signed_as_botocore_signs_them(query: dict[str, str], token: str | None, payload: bytes) -> None:
    request = AWSRequest("PUT", URL, data=payload, params=query, headers={"x-amz-server-side-encryption": "AES256"})
    S3SigV4Auth(_theirs(token), "s3", "eu-west-1").add_auth(request)
    now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signing.authorized(
        "PUT",
        URL,
        query,
        {"x-amz-server-side-encryption": "AES256"},
        payload=request.headers["X-Amz-Content-SHA256"],
        credentials=Credentials("KEY", "secret/+", token),
        region="eu-west-1",
        now=now,
    )
    assert ours["authorization"] == request.headers["Authorization"]


@given(query=QUERIES, token=TOKENS)
def test_urls_are_signed_as_botocore_signs_them(query: dict[str, str], token: str | None) -> None:
    headers = {"content-type": "text/plain", "content-length": "5"}
    request = AWSRequest("PUT", f"{URL}?{signing.encoded(query)}" if query else URL, headers=headers)
    S3SigV4QueryAuth(_theirs(token), "s3", "eu-west-1", expires=90).add_auth(request)
    now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signing.presigned(
        "PUT",
        URL,
        query,
        headers,
        seconds=90,
        credentials=Credentials("KEY", "secret/+", token),
        region="eu-west-1",
        now=now,
    )
    theirs = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    assert dict(parse_qsl(urlsplit(ours).query, keep_blank_values=True)) == theirs


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [("s3://files", "files", ""), ("s3://files/", "files", ""), ("s3://my.files/a/b-c/", "my.files", "a/b-c")],
)
def test_a_place(url: str, bucket: str, prefix: str) -> None:
    assert parse(url) == (bucket, prefix)


@pytest.mark.parametrize(
    "url",
    ["files", "http://files", "s3:///a", "s3://Files", "s3://key:secret@files", "s3://files/../a", "s3://files/a//b",
     "s3://files/a b", "s3://files?x=1", "s3://files/é"],
)  # fmt: skip
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|the prefix has"):
        parse(url)


def test_both_ways_to_address_a_bucket() -> None:
    place = Place("files", "dock", "https://s3.example.com:9000")
    assert place.base == "https://s3.example.com:9000/files"
    virtual = Place("files", "", "https://s3.example.com:9000", virtual_hosted=True)
    assert virtual.base == "https://files.s3.example.com:9000"
    assert (place.path("a"), virtual.path("a")) == ("dock/a", "a")


def test_keys_are_given_or_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert provider("a", "b")() == Credentials("a", "b")
    assert "b" not in repr(provider("a", "b")()).replace("Credentials", "")
    with pytest.raises(ValueError, match="set both or neither"):
        provider("a", None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "c")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "d")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "e")
    assert provider(None, None)() == Credentials("c", "d", "e")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = f\naws_secret_access_key = g\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert provider(None, None)() == Credentials("f", "g", None)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ValueError, match="set store_access_key and store_secret_key"):
        provider(None, None)


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (404, "<Code>NoSuchBucket</Code>", "create it, or change store_url"),
        (403, "<Code>RequestTimeTooSkewed</Code>", "set both with NTP"),
        (403, "<Code>SignatureDoesNotMatch</Code>", "check store_access_key and store_secret_key"),
        (401, "", "check store_access_key and store_secret_key"),
        (403, "<Code>AccessDenied</Code>", "these keys may not s3:PutObject"),
        (
            400,
            "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>",
            "(eu-west-1); change store_region",
        ),
        (301, "<Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint>", "change store_region"),
        (500, "<Code>InternalError</Code>", "it answered 500 InternalError to s3:PutObject"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_change(status: int, body: str, advice: str) -> None:
    error = refusal(Place("files", "dock", "https://s3.example.com"), status, body, "s3:PutObject")
    assert isinstance(error, Unavailable)
    assert error.why.startswith("s3://files/dock at https://s3.example.com: ")
    assert advice in error.why
    assert "files" not in str(error)  # what clients are told


@pytest.mark.parametrize(("status", "body"), [(507, ""), (403, "<Code>QuotaExceeded</Code>")])
def test_a_full_store(status: int, body: str) -> None:
    place = Place("files", "dock", "https://s3.example.com")
    assert isinstance(refusal(place, status, body, "s3:PutObject"), StorageFull)
