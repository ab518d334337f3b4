"""What every Presigner has to keep, shown on requests as they come over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from loadingdock.core.errors import Forbidden, LinkExpired
from loadingdock.core.ports.presigning import Presigner, SignedRequest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGNER = "100606.user.YW5uYQ"
HOUR = timedelta(hours=1)
_TELLING = frozenset(b"/%.&=?#+;:\\ \t\r\n\0\xff09afAFxX")  # bytes that parsers take for more than themselves


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request's method, target and headers, byte for byte as a server gets them."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, method: str, url: str, headers: Sequence[tuple[str, str]] = ()) -> WireRequest:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}".encode("ascii")
        sent = [("host", parts.netloc), *headers]
        return cls(method, target, tuple((name.encode(), value.encode()) for name, value in sent))

    def verify(self, presigner: Presigner, now: datetime = NOW) -> SignedRequest:
        path, _, query = self.target.partition(b"?")
        return presigner.verify(self.method, path, query, self.headers, now=now)

    def replaced(self, old: bytes, new: bytes) -> WireRequest:
        assert old in self.target
        return replace(self, target=self.target.replace(old, new, 1))

    def extended(self, query: bytes) -> WireRequest:
        return replace(self, target=self.target + query)


def refused(presigner: Presigner, request: WireRequest, now: datetime = NOW) -> bool:
    try:
        request.verify(presigner, now)
    except Forbidden:
        return True
    return False


class PresignerContract:
    """Needs the fixture `presigner`."""

    def put(self, presigner: Presigner, path: str = "/objects/100606/report é.pdf") -> WireRequest:
        headers = {"Content-Type": "application/pdf", "Content-Length": "51"}
        url = presigner.url(
            "PUT", path, signer=SIGNER, expires_in=HOUR, now=NOW, headers=headers, query={"X-Dock-Max-Size": "1000"}
        )
        return WireRequest.of("PUT", url, tuple(headers.items()))

    @pytest.mark.parametrize(
        "path", ["/a", "/objects/1/Übersicht 2026 (1).pdf", "/日本/語~_-.txt", "/a+b&c=d;e:f@g$h,i'!*", "/x%2Fy/%41"]
    )
    def test_what_was_signed_is_what_is_verified(self, presigner: Presigner, path: str) -> None:
        own = {"X-Dock-Max-Size": "10", "note": "a b+c/ü&=", "empty": ""}
        url = presigner.url("GET", path, signer=SIGNER, expires_in=HOUR, now=NOW, query=own)
        signed = WireRequest.of("GET", url).verify(presigner)
        assert signed.method == "GET"
        assert signed.path == path
        assert signed.signer == SIGNER
        assert signed.query == own
        assert signed.signed_headers == {"host"}
        assert signed.expires_at == NOW + HOUR

    def test_signed_headers_are_named_in_lower_case(self, presigner: Presigner) -> None:
        signed = self.put(presigner).verify(presigner)
        assert signed.signed_headers == {"host", "content-type", "content-length"}

    @pytest.mark.security(20)
    def test_every_byte_of_the_url_is_bound(self, presigner: Presigner) -> None:
        request = self.put(presigner)
        request.verify(presigner)
        target = request.target
        for at in range(len(target)):
            assert refused(presigner, replace(request, target=target[:at] + target[at + 1 :])), at
            assert refused(presigner, replace(request, target=target[:at] + target[at : at + 1] + target[at:])), at
            for byte in {target[at] ^ 1 << bit for bit in range(8)} | (_TELLING - {target[at]}):
                changed = target[:at] + bytes([byte]) + target[at + 1 :]
                assert refused(presigner, replace(request, target=changed)), changed

    @pytest.mark.security(20)
    def test_every_byte_of_host_and_signed_headers_is_bound(self, presigner: Presigner) -> None:
        request = self.put(presigner)
        for index, (name, value) in enumerate(request.headers):
            for at in range(len(value)):
                changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
                headers = (*request.headers[:index], (name, changed), *request.headers[index + 1 :])
                assert refused(presigner, replace(request, headers=headers)), changed

    @pytest.mark.security(20)
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "put", "PUTT", ""])
    def test_another_method_is_refused(self, presigner: Presigner, method: str) -> None:
        assert refused(presigner, replace(self.put(presigner), method=method))

    @pytest.mark.security(20)
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"/objects/", b"/objects//"),
            (b"/objects/", b"//objects/"),
            (b"/objects/", b"/objects/./"),
            (b"/objects/", b"/objects/../objects/"),
            (b"/objects/", b"/objects%2F"),
            (b"/objects/", b"/%6fbjects/"),
            (b"/objects/", b"/OBJECTS/"),
            (b"%C3%A9", b"%c3%a9"),
            (b"%C3%A9", b"e%CC%81"),
            (b"%20", b"+"),
            (b"%20", b" "),
            (b".pdf", b".pdf/"),
            (b".pdf", b".pdf%00"),
        ],
    )
    def test_another_spelling_of_the_path_is_refused(self, presigner: Presigner, old: bytes, new: bytes) -> None:
        assert refused(presigner, self.put(presigner).replaced(old, new))

    @pytest.mark.security(20)
    @pytest.mark.parametrize(
        "query",
        [
            b"&",
            b"&&",
            b"&a=b",
            b"&a",
            b"&=",
            b"&X-Dock-Max-Size=1000",
            b"&X-Dock-Max-Size=999999",
            b"&x-dock-max-size=999999",
            b"&X-Amz-Expires=604800",
            b"&x-amz-expires=604800",
            b"&X-Amz-Security-Token=token",
            b"&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
            b"&X-Amz-Anything=",
            b"&X%2DAmz-Expires=604800",
            b"#fragment",
        ],
    )
    def test_more_parameters_are_refused(self, presigner: Presigner, query: bytes) -> None:
        assert refused(presigner, self.put(presigner).extended(query))

    @pytest.mark.security(20)
    def test_a_parameter_left_out_is_refused(self, presigner: Presigner) -> None:
        request = self.put(presigner)
        path, _, query = request.target.partition(b"?")
        pairs = query.split(b"&")
        for left_out in pairs:
            rest = b"&".join(pair for pair in pairs if pair != left_out)
            assert refused(presigner, replace(request, target=path + b"?" + rest)), left_out
        assert refused(presigner, replace(request, target=path))
        assert refused(presigner, replace(request, target=path + b"?"))

    @pytest.mark.security(22)
    def test_signed_headers_must_come_exactly_once(self, presigner: Presigner) -> None:
        request = self.put(presigner)
        for index, header in enumerate(request.headers):
            without = request.headers[:index] + request.headers[index + 1 :]
            assert refused(presigner, replace(request, headers=without)), header
            assert refused(presigner, replace(request, headers=(*request.headers, header))), header
        more = ((b"user-agent", b"curl"), (b"accept", b"*/*"))
        replace(request, headers=(*more, *request.headers)).verify(presigner)

    @pytest.mark.security(21)
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            (b"x-amz-acl", b"public-read"),
            (b"X-Amz-Meta-Owner", b"somebody"),
            (b"x-amz-copy-source", b"/other/object"),
            (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
            (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            (b"x-amz-content-sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            (b"x-amz-trailer", b"x-amz-checksum-crc32"),
            (b"x-amz-decoded-content-length", b"51"),
            (b"content-encoding", b"aws-chunked"),
            (b"Content-Encoding", b"gzip, AWS-Chunked"),
        ],
    )
    def test_unsigned_amazon_headers_and_other_payload_modes_are_refused(
        self, presigner: Presigner, name: bytes, value: bytes
    ) -> None:
        request = self.put(presigner)
        assert refused(presigner, replace(request, headers=(*request.headers, (name, value))))

    @pytest.mark.security(21)
    def test_a_link_ends_to_the_second(self, presigner: Presigner) -> None:
        request = self.put(presigner)
        request.verify(presigner, NOW + HOUR - timedelta(seconds=1))
        with pytest.raises(LinkExpired):
            request.verify(presigner, NOW + HOUR)

    @pytest.mark.security(21)
    def test_a_forged_link_past_its_time_is_a_forged_link(self, presigner: Presigner) -> None:
        assert refused(presigner, self.put(presigner).replaced(b"report", b"secret"), NOW + HOUR * 2)

    @pytest.mark.security(21)
    def test_a_link_from_the_future_is_refused_beyond_the_skew_of_clocks(self, presigner: Presigner) -> None:
        request = self.put(presigner)
        request.verify(presigner, NOW - timedelta(minutes=5))
        assert refused(presigner, request, NOW - timedelta(minutes=5, seconds=1))

    @pytest.mark.security(21)
    @pytest.mark.parametrize(
        "life", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1), timedelta(days=365)]
    )
    def test_lives_outside_of_a_second_and_a_week_are_not_signed(self, presigner: Presigner, life: timedelta) -> None:
        with pytest.raises(ValueError, match="lives for"):
            presigner.url("GET", "/a", signer=SIGNER, expires_in=life, now=NOW)

    @pytest.mark.parametrize("life", [timedelta(seconds=1), timedelta(milliseconds=600_500), timedelta(days=7)])
    def test_a_life_in_between_is_never_shorter_than_asked(self, presigner: Presigner, life: timedelta) -> None:
        url = presigner.url("GET", "/a", signer=SIGNER, expires_in=life, now=NOW)
        assert WireRequest.of("GET", url).verify(presigner).expires_at - NOW >= life

    @pytest.mark.security(20)
    @pytest.mark.parametrize("path", ["", "a", "/", "//a", "/a//b", "/a/", "/./a", "/a/..", "/a\nb", "/a\0", "/\x7f"])
    def test_a_path_that_could_be_read_in_two_ways_is_not_signed(self, presigner: Presigner, path: str) -> None:
        with pytest.raises(ValueError, match="cannot be signed"):
            presigner.url("GET", path, signer=SIGNER, expires_in=HOUR, now=NOW)

    @pytest.mark.parametrize("signer", ["", "a/b", "a b", "ü", "a" * 1025])
    def test_a_signer_has_unreserved_characters(self, presigner: Presigner, signer: str) -> None:
        with pytest.raises(ValueError, match="cannot be signed"):
            presigner.url("GET", "/a", signer=signer, expires_in=HOUR, now=NOW)

    @pytest.mark.parametrize("name", ["X-Amz-Expires", "x-amz-signature", "X-AMZ-Other"])
    def test_parameters_of_the_signature_cannot_be_given(self, presigner: Presigner, name: str) -> None:
        with pytest.raises(ValueError, match="belong to the signature"):
            presigner.url("GET", "/a", signer=SIGNER, expires_in=HOUR, now=NOW, query={name: "1"})

    @pytest.mark.security(22)
    def test_signers_do_not_sign_for_each_other(self, presigner: Presigner) -> None:
        assert refused(presigner, self.put(presigner).replaced(SIGNER.encode(), b"100607.user.YW5uYQ"))
