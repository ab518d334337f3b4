"""Our signatures against AWS's own signer, and against requests that were signed to deceive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.presign import SigV4Presigner
from loadingdock.core.errors import Forbidden
from loadingdock.testing.presigning import HOUR, NOW, SIGNER, PresignerContract, WireRequest, refused

SECRET = bytes(range(32))
ORIGIN = "https://files.example.com"


@pytest.fixture(params=[ORIGIN, "http://127.0.0.1:8080/dock/v2"])
def presigner(request: pytest.FixtureRequest) -> SigV4Presigner:
    return SigV4Presigner(SECRET, request.param)


class TestSigV4Presigner(PresignerContract):
    pass


def ours() -> SigV4Presigner:
    return SigV4Presigner(SECRET, ORIGIN)


def aws_url(
    method: str,
    target: str,
    *,
    headers: dict[str, str] | None = None,
    expires: object = 3600,
    now: datetime = NOW,
    signer: str = SIGNER,
    region: str = "us-east-1",
    service: str = "s3",
) -> str:
    """Signed by botocore with the signer's secret; it signs whatever it is told to."""
    auth = S3SigV4QueryAuth(Credentials(signer, ours().secret_of(signer)), service, region, expires=expires)
    request = AWSRequest(method=method, url=ORIGIN + target, headers=headers or {})
    with patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        auth.add_auth(request)
    return str(request.url)


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
VALUES = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
QUERIES = st.dictionaries(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.~ ü-]{0,12}", fullmatch=True).filter(
        lambda name: not name.lower().startswith("x-amz-")
    ),
    VALUES,
    max_size=4,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(["application/pdf", "text/plain;  charset=utf-8", "image/svg+xml"]),
        "content-length": st.integers(0, 10**12).map(str),
        "content-disposition": st.sampled_from(['attachment; filename="a  b.pdf"', "inline"]),
    },
)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    expires=st.integers(1, 604_800),
    now=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),
)
def test_both_signers_write_the_same_url(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], expires: int, now: datetime
) -> None:
    now = now.replace(microsecond=0)
    url = ours().url(
        method, path, signer=SIGNER, expires_in=timedelta(seconds=expires), now=now, headers=headers, query=query
    )
    target = quote(path, safe="/-_.~")
    if query:
        target += "?" + "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query.items())
    assert url == aws_url(method, target, headers=headers, expires=expires, now=now)
    signed = WireRequest.of(method, url, tuple(headers.items())).verify(ours(), now)
    assert (signed.path, signed.query) == (path, query)


@pytest.mark.parametrize("key", ["report.pdf", "2026/Übersicht (1).pdf", "日本 語/a+b&c=d.txt", "~tilde_-.x"])
@pytest.mark.parametrize("operation", ["get_object", "put_object", "head_object", "delete_object"])
def test_urls_of_boto3_verify(operation: str, key: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=ORIGIN,
        region_name="us-east-1",
        aws_access_key_id=SIGNER,
        aws_secret_access_key=ours().secret_of(SIGNER),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    parameters = {"Bucket": "objects", "Key": key}
    headers: tuple[tuple[str, str], ...] = ()
    if operation == "put_object":
        parameters |= {"ContentType": "application/pdf"}
        headers = (("content-type", "application/pdf"),)
    if operation == "get_object":
        parameters |= {"ResponseContentDisposition": 'attachment; filename="ü.pdf"'}
    url = client.generate_presigned_url(operation, Params=parameters, ExpiresIn=600)
    method = operation.partition("_")[0].upper()
    signed = WireRequest.of(method, url, headers).verify(ours(), datetime.now(UTC))
    assert signed.path == f"/objects/{key}"
    assert signed.signer == SIGNER
    assert signed.signed_headers == {"host"} | {name for name, _ in headers}


def test_a_digest_of_the_body_may_be_a_parameter() -> None:
    own = {"x-amz-checksum-sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}
    url = ours().url("PUT", "/a", signer=SIGNER, expires_in=HOUR, now=NOW, query=own)
    assert WireRequest.of("PUT", url).verify(ours()).query == own


def test_the_path_of_the_public_url_is_signed_and_taken_off_again() -> None:
    presigner = SigV4Presigner(SECRET, "https://example.com/dock/")
    request = WireRequest.of("GET", presigner.url("GET", "/a", signer=SIGNER, expires_in=HOUR, now=NOW))
    assert request.target.startswith(b"/dock/a?")
    assert request.verify(presigner).path == "/a"
    assert refused(presigner, request.replaced(b"/dock/a", b"/a"))


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("https://Files.Example.com", "files.example.com"),
        ("https://files.example.com:443", "files.example.com"),
        ("http://files.example.com:80/", "files.example.com"),
        ("http://files.example.com:443", "files.example.com:443"),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080"),
    ],
)
def test_the_host_is_signed_as_clients_send_it(public_url: str, host: str) -> None:
    url = SigV4Presigner(SECRET, public_url).url("GET", "/a", signer=SIGNER, expires_in=HOUR, now=NOW)
    assert urlsplit(url).netloc == host


@pytest.mark.parametrize(
    "public_url",
    ["", "files.example.com", "ftp://example.com", "https://", "https://example.com?a=b", "https://example.com/a b"],
)
def test_what_is_no_public_url_is_refused_at_the_start(public_url: str) -> None:
    with pytest.raises(ValueError, match=r"public URL|need encoding"):
        SigV4Presigner(SECRET, public_url)


def test_a_short_secret_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigV4Presigner(b"short", ORIGIN)


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\nb", "\0"])
def test_header_values_that_cannot_be_sent_are_not_signed(value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        ours().url("PUT", "/a", signer=SIGNER, expires_in=HOUR, now=NOW, headers={"content-type": value})


@pytest.mark.security(21)
@pytest.mark.parametrize("expires", [0, -1, 604_801, "+5", "1_0", "05", "5.0", "1e3", "", " 5", "٣", 10**30])
def test_rightly_signed_lives_out_of_bounds_are_refused(expires: object) -> None:
    assert refused(ours(), WireRequest.of("GET", aws_url("GET", "/a", expires=expires)))


@pytest.mark.security(20)
@pytest.mark.parametrize(
    "target",
    [
        "/a//b",
        "//a",
        "/./a",
        "/a/../b",
        "/a/..",
        "/a/",
        "/",
        "/a%2Fb",
        "/a%2fb",
        "/%61",
        "/%c3%bc",
        "/a%00",
        "/a%0A",
        "/%FF",
        "/a;b",
        "/a?x=1&X-Amz-Meta-Owner=me",
        "/a?x-amz-acl=public-read",
    ],
)
def test_rightly_signed_targets_with_two_readings_are_refused(target: str) -> None:
    url = aws_url("GET", target)
    assert refused(ours(), WireRequest.of("GET", url))


@pytest.mark.security(21)
@pytest.mark.parametrize(
    "payload", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "e3b0c442", ""]
)
def test_rightly_signed_payload_modes_besides_unsigned_are_refused(payload: str) -> None:
    headers = {"x-amz-content-sha256": payload}
    url = aws_url("PUT", "/a", headers=headers)
    assert refused(ours(), WireRequest.of("PUT", url, tuple(headers.items())))


@pytest.mark.security(21)
def test_the_unsigned_payload_may_be_said_in_a_signed_header() -> None:
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    url = aws_url("PUT", "/a", headers=headers)
    WireRequest.of("PUT", url, tuple(headers.items())).verify(ours())


@pytest.mark.security(20)
@pytest.mark.parametrize(
    ("region", "service"), [("eu-central-1", "s3"), ("us-east-1", "sts"), ("us-east-1", "s3express"), ("", "s3")]
)
def test_a_signature_for_another_scope_is_refused(region: str, service: str) -> None:
    assert refused(ours(), WireRequest.of("GET", aws_url("GET", "/a", region=region, service=service)))


def test_the_region_is_a_setting() -> None:
    presigner = SigV4Presigner(SECRET, ORIGIN, region="eu-central-1")
    WireRequest.of("GET", aws_url("GET", "/a", region="eu-central-1")).verify(presigner)


@pytest.mark.security(20)
def test_another_installation_has_other_secrets() -> None:
    assert refused(SigV4Presigner(bytes(32), ORIGIN), WireRequest.of("GET", aws_url("GET", "/a")))


@pytest.mark.security(21)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA1"),
        ("X-Amz-Algorithm", "aws4-hmac-sha256"),
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("X-Amz-Date", "20260102T030405"),
        ("X-Amz-Date", "2026-01-02T03:04:05Z"),
        ("X-Amz-Date", "20261302T030405Z"),
        ("X-Amz-Date", "00000102T030405Z"),
        ("X-Amz-SignedHeaders", ""),
        ("X-Amz-SignedHeaders", "Host"),
        ("X-Amz-SignedHeaders", "content-type"),
        ("X-Amz-SignedHeaders", "host;host"),
        ("X-Amz-SignedHeaders", "host;content-type"),
        ("X-Amz-SignedHeaders", "host;"),
        ("X-Amz-Credential", SIGNER),
        ("X-Amz-Credential", f"{SIGNER}/20260101/us-east-1/s3/aws4_request"),
        ("X-Amz-Credential", f"{SIGNER}/x/20260102/us-east-1/s3/aws4_request"),
        ("X-Amz-Credential", "/20260102/us-east-1/s3/aws4_request"),
        ("X-Amz-Signature", ""),
        ("X-Amz-Signature", "0" * 64),
        ("X-Amz-Signature", "é"),
    ],
)
def test_parameters_out_of_their_form_are_refused(name: str, value: str) -> None:
    path, _, query = aws_url("GET", "/a").removeprefix(ORIGIN).partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&")) | {name: quote(value, safe="-_.~")}
    changed = "&".join(f"{key}={value}" for key, value in pairs.items())
    assert refused(ours(), WireRequest.of("GET", f"{ORIGIN}{path}?{changed}"))


@pytest.mark.security(21)
def test_an_upper_case_signature_is_refused() -> None:
    request = WireRequest.of("GET", aws_url("GET", "/a"))
    signature = request.target.rpartition(b"=")[2]
    assert refused(ours(), request.replaced(signature, signature.upper()))


@pytest.mark.security(22)
def test_header_values_that_are_not_text_are_bound_too() -> None:
    url = ours().url("PUT", "/a", signer=SIGNER, expires_in=HOUR, now=NOW, headers={"content-type": "a/ü"})
    request = WireRequest.of("PUT", url, (("Content-Type", "a/ü"),))
    request.verify(ours())
    for value in (b"a/\xfc", b"a/\xff\xfe", b"a/u"):
        assert refused(ours(), replace(request, headers=(request.headers[0], (b"content-type", value))))


@pytest.mark.security(20)
@given(
    target=st.binary(max_size=300),
    headers=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=4),
)
def test_nothing_that_we_did_not_sign_passes_or_breaks(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    path, _, query = target.partition(b"?")
    with pytest.raises(Forbidden):
        ours().verify("GET", path, query, headers, now=NOW)


@pytest.mark.security(20)
@given(data=st.data())
def test_no_edit_of_a_signed_url_passes(data: st.DataObject) -> None:
    request = WireRequest.of("GET", aws_url("GET", "/objects/1/a%20b.pdf?X-Dock-Version=2"))
    target = request.target
    start = data.draw(st.integers(0, len(target)))
    end = data.draw(st.integers(start, min(len(target), start + 40)))
    alphabet = st.sampled_from([b"&", b"=", b"%2F", b"/", b"..", b"?", b"X-Amz-Date", b"\n", b"+", b"a", b"A", b"0"])
    inserted = b"".join(data.draw(st.lists(alphabet | st.binary(max_size=3), max_size=4)))
    changed = target[:start] + inserted + target[end:]
    if changed != target:
        assert refused(ours(), replace(request, target=changed))
